package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// screen is a size and a theme in which a page is shown.
type screen struct {
	name          string
	width, height int64
	scale         float64
	phone, dark   bool
}

var (
	phone   = screen{name: "phone", width: 390, height: 844, scale: 2, phone: true}
	desktop = screen{name: "desktop", width: 1440, height: 900, scale: 1}
)

// atNight is the screen with dark colours.
func (s screen) atNight() screen {
	s.name, s.dark = s.name+"-dark", true
	return s
}

func (s screen) show() chromedp.Action[chromedp.Void] {
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	return chromedp.Steps(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: s.height, DeviceScaleFactor: s.scale, Mobile: s.phone,
		}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
	)
}

// screenshots is the folder where screenshots are kept for people.
const screenshots = root + "/bin/screenshots"

// shoot keeps a screenshot of the whole page, or of its part on the screen.
func (p *tab) shoot(t *testing.T, name string, whole bool) {
	t.Helper()
	shot, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, name+".png"), shot.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// looks keeps screenshots of the page in all its languages on all screens. It records a fault if the page does not fit a
// screen or has accessibility barriers.
func (p *tab) looks(t *testing.T, name string) {
	t.Helper()
	p.pose(t, name, func(shot string) {
		p.shoot(t, shot, true)
		p.isAccessible(t, shot)
	})
}

// pose shows the page in all its languages on all screens, and passes on the name of each screenshot.
func (p *tab) pose(t *testing.T, name string, each func(shot string)) {
	t.Helper()
	languages := eval[[]string](t, p, `[...document.querySelectorAll('#language option')].map((option) => option.value)`)
	for i := range max(1, len(languages)) {
		suffix := ""
		if i > 0 {
			suffix = "-" + languages[i][:2]
		}
		if len(languages) > 0 {
			p.speak(t, languages[i])
		}
		for _, s := range []screen{phone, phone.atNight(), desktop, desktop.atNight()} {
			p.do(t, s.show())
			shot := name + "-" + s.name + suffix
			if wide := eval[int64](t, p, `document.documentElement.scrollWidth`); wide > s.width {
				p.fault("width: %s has %d", shot, wide)
			}
			each(shot)
		}
	}
	p.do(t, desktop.show())
	if len(languages) > 0 {
		p.speak(t, languages[0])
	}
}

// looksAlike keeps screenshots of a page that looks checks with fewer rows, and checks it once.
func (p *tab) looksAlike(t *testing.T, name string) {
	t.Helper()
	p.pose(t, name, func(shot string) { p.shoot(t, shot, false) })
	p.isAccessible(t, name)
}

// speak selects a language of the page.
func (p *tab) speak(t *testing.T, language string) {
	t.Helper()
	eval[chromedp.Void](t, p, fmt.Sprintf(`{ const select = document.querySelector('#language'); select.value = %q; select.dispatchEvent(new Event('change')); }`, language))
	eval[chromedp.Void](t, p, `new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))`)
}

// axeCore returns the script that checks accessibility, if npm could fetch it.
func axeCore(t *testing.T) (script string, fetched bool) {
	t.Helper()
	axe, err := os.ReadFile(root + "/bin/axe.min.js")
	if err != nil && (everything() || !errors.Is(err, fs.ErrNotExist)) {
		t.Fatalf("%v: make axe", err)
	}
	return string(axe), err == nil
}

// isAccessible checks the page with axe-core, if it is there.
func (p *tab) isAccessible(t *testing.T, name string) {
	t.Helper()
	axe, fetched := axeCore(t)
	if !fetched {
		return
	}
	if eval[string](t, p, `typeof axe`) == "undefined" {
		p.do(t, chromedp.Evaluate[chromedp.Void](axe))
	}
	type violation struct {
		ID, Impact, Help string
		Nodes            []string
	}
	result := eval[struct {
		Passes     int
		Violations []violation
	}](t, p, `axe.run(document).then(({ passes, violations }) => ({
		passes: passes.length, violations: violations.map((v) => ({ ...v, nodes: v.nodes.map((n) => n.html + ': ' + n.failureSummary) })),
	}))`)
	if result.Passes == 0 {
		t.Errorf("%s: nothing was looked at", name)
	}
	for _, v := range result.Violations {
		say := t.Logf
		if v.Impact == "serious" || v.Impact == "critical" {
			say = p.fault
		}
		say("axe: %s: %s, %s: %s\n%s", v.ID, name, v.Impact, v.Help, strings.Join(v.Nodes, "\n"))
	}
}
