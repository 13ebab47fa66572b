package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// button is an expression for the visible button with a name, below the element of a selector.
func button(below, name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].find((e) => e.checkVisibility() && (e.ariaLabel ?? e.innerText).trim() === %q)`, below+" button", name)
}

// hits clicks on the element of an expression.
func (p *tab) hits(t *testing.T, element string) {
	t.Helper()
	p.sees(t, element)
	p.do(t, chromedp.Click(chromedp.JSPath(element), chromedp.NodeVisible))
}

// The reference page shows the routes of the API alone, and lets its reader call them, except streams, which Swagger UI shows
// only after their end.
func TestReference(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.setMany(1)[0]
	p := openTab(t, s.url+"docs")
	defer p.judge(t)
	p.sees(t, `document.querySelectorAll('.opblock').length > 0`)
	routes := eval[[]string](t, p, `[...document.querySelectorAll('.opblock-summary-path')].map((e) => e.dataset.path)`)
	want := []string{"/v1/tasks/{task_id}", "/v1/tasks/{task_id}:ticket", "/v1/tasks/{task_id}:wait", "/v1/tasks/{task_id}:watch", "/v1/tasks:ticket", "/v1/tasks:watch"}
	if slices.Sort(routes); !slices.Equal(routes, want) {
		t.Errorf("it shows %q", routes)
	}
	if extra := eval[int](t, p, `document.querySelectorAll('.models, .topbar').length`); extra != 0 {
		t.Errorf("it shows %d elements that are not of the API", extra)
	}
	p.looks(t, "reference")

	p.hits(t, button(".scheme-container", "Authorize"))
	p.fill(t, "#auth-bearer-value", pageToken)
	p.hits(t, button(".auth-container", "Authorize"))
	p.sees(t, button(".auth-container", "Logout"))
	p.looks(t, "reference-authorized")
	p.hits(t, button(".modal-ux-header", "Close"))

	const operation = "#operations-tasks-GetTask "
	p.click(t, operation+".opblock-summary-control")
	p.sees(t, `location.hash === '#/tasks/GetTask'`)
	p.hits(t, button(operation, "Try it out"))
	p.fill(t, operation+`[data-param-name=task_id] input`, id)
	p.hits(t, button(operation, "Execute"))
	p.sees(t, `document.querySelector('`+operation+`.live-responses-table .response-col_status')`)
	if says := p.text(t, operation+".live-responses-table"); !strings.Contains(says, "200") || !strings.Contains(says, "TASK_STATUS_EXECUTING") || !strings.Contains(says, id) {
		t.Errorf("it says %q", says)
	}
	p.looks(t, "reference-tried")
	p.click(t, operation+".opblock-summary-control")

	for _, stream := range []string{"WatchTask", "WatchTasks"} {
		operation := "#operations-tasks-" + stream + " "
		p.click(t, operation+".opblock-summary-control")
		p.sees(t, `document.querySelector('`+operation+`.parameters')`)
		if says := p.text(t, operation); !strings.Contains(says, "To see one live, open the page at") {
			t.Errorf("%s says %q", stream, says)
		}
		if eval[bool](t, p, "Boolean("+button(operation, "Try it out")+")") {
			t.Errorf("%s can be tried", stream)
		}
		p.click(t, operation+".opblock-summary-control")
	}
	p.keepsNothing(t)
	if asked := p.requested(`/v1/`); len(asked) != 1 || asked[0] != s.url+"v1/tasks/"+id {
		t.Errorf("it asked for %q", asked)
	}
	for _, row := range []struct {
		screen screen
		ground string
	}{{desktop, "rgb(255, 255, 255)"}, {desktop.atNight(), "rgb(22, 25, 29)"}} {
		p.do(t, row.screen.show())
		if ground := eval[string](t, p, `getComputedStyle(document.body).backgroundColor`); ground != row.ground {
			t.Errorf("%s: the background is %s", row.screen.name, ground)
		}
	}
}
