package main

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The reference page shows every route, and lets its reader call it.
func TestReference(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.setMany(1)[0]
	p := openTab(t, s.url+"docs")
	defer p.judge(t)
	for _, rule := range []string{
		"button-name",                 // Some have only an icon.
		"color-contrast",              // Its colours are pale.
		"label-content-name-mismatch", // “Authorize” in the dialog is called “Apply credentials”.
		"nested-interactive",          // The button of a route contains a link.
		"scrollable-region-focusable", // Examples cannot be scrolled with the keyboard.
		"select-name",                 // The selects of servers and values have no names.
	} {
		if _, fetched := axeCore(t); fetched {
			p.expects("^axe: " + rule + ": ") // Swagger UI's own: it renders the whole page.
		}
	}
	p.expects(`^width: reference-tried-phone`)                                    // Its table of parameters is wide.
	p.expects(`^issue: GenericIssue .*FormEmptyIdAndNameAttributesForInputError`) // Its fields have no names.
	p.sees(t, `document.querySelectorAll('.opblock').length > 4`)
	p.looks(t, "reference")

	p.click(t, ".btn.authorize")
	p.fill(t, "#auth-bearer-value", pageToken)
	p.click(t, ".auth-container .authorize")
	p.sees(t, `document.querySelector('.auth-container').innerText.includes('Logout')`)
	p.looks(t, "reference-authorized")
	p.click(t, ".close-modal")

	const operation = "#operations-tasks-GetTask "
	p.click(t, operation+".opblock-summary-control")
	p.click(t, operation+".try-out__btn")
	p.fill(t, operation+`[data-param-name=task_id] input`, id)
	p.click(t, operation+".execute")
	p.sees(t, `document.querySelector('`+operation+`.live-responses-table .response-col_status')`)
	if says := p.text(t, operation+".live-responses-table"); !strings.Contains(says, "200") || !strings.Contains(says, "TASK_STATUS_EXECUTING") || !strings.Contains(says, id) {
		t.Errorf("it says %q", says)
	}
	p.looks(t, "reference-tried")

	const watch = "#operations-tasks-WatchTask "
	s.set(id, koodrivetest.StatusSuccess) // A stream is shown when it has ended.
	p.click(t, watch+".opblock-summary-control")
	p.click(t, watch+".try-out__btn")
	p.fill(t, watch+`[data-param-name=task_id] input`, id)
	p.click(t, watch+".execute")
	p.sees(t, `document.querySelector('`+watch+`.live-responses-table .response-col_status')`)
	if says := p.text(t, watch+".live-responses-table"); !strings.Contains(says, `{"end":{}}`) || strings.Contains(says, "can't parse") {
		t.Errorf("for a watch it shows %q", says)
	}
	p.keepsNothing(t)
	if asked := p.requested(`/v1/`); len(asked) != 2 || asked[0] != s.url+"v1/tasks/"+id || asked[1] != asked[0]+":watch" {
		t.Errorf("it asked for %q", asked)
	}
}
