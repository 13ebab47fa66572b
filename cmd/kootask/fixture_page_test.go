package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// finders are functions that find visible elements of a page as its users do.
const finders = `
	const roles = {
		button: 'button, summary', link: 'a[href]', textbox: 'input:not([type=checkbox], [type=search]), textarea', searchbox: 'input[type=search]',
		checkbox: 'input[type=checkbox]', region: 'section', list: 'ol', row: 'tbody [role=row]',
	};
	const nameOf = (e) => {
		const by = e.getAttribute('aria-labelledby');
		return (by ? document.getElementById(by).innerText : e.ariaLabel ?? e.labels?.[0]?.innerText ?? e.innerText).trim();
	};
	window.byRole = (role, name) => [...document.querySelectorAll(roles[role])].find((e) => e.checkVisibility() && nameOf(e) === name);
	window.rowOf = (id) => [...document.querySelectorAll(roles.row)].find((row) => [...row.querySelectorAll('a')].some((link) => link.textContent === id));
	window.cellOf = (id, column) => {
		const at = [...document.querySelectorAll('[role=columnheader]')].findIndex((header) => header.textContent.trim() === column);
		return rowOf(id)?.querySelectorAll('[role=cell]')[at]?.innerText.trim() ?? '';
	};`

// found makes the finders part of each page.
func found() chromedp.Action[chromedp.Void] {
	return command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: finders})
}

// byRole is an expression for the element with a role and an accessible name.
func byRole(role, name string) string { return fmt.Sprintf(`byRole(%q, %q)`, role, name) }

// push clicks on the element of an expression.
func (p *tab) push(t *testing.T, element string) {
	t.Helper()
	p.sees(t, element)
	p.do(t, chromedp.Click(chromedp.JSPath(element), chromedp.NodeVisible))
}

// enter replaces the value of a field at once.
func (p *tab) enter(t *testing.T, field, value string) {
	t.Helper()
	p.sees(t, field)
	eval[chromedp.Void](t, p, fmt.Sprintf(`{ const field = %s; field.focus(); field.value = %q; for (const type of ['input', 'change']) field.dispatchEvent(new Event(type, { bubbles: true })); }`, field, value))
}

// unfold opens the form.
func (p *tab) unfold(t *testing.T) {
	t.Helper()
	if !eval[bool](t, p, byRole("button", "Watch tasks")+`.closest('details').open`) {
		p.push(t, byRole("button", "Watch tasks"))
	}
}

// watch fills in the form and submits it.
func (p *tab) watch(t *testing.T, token string, ids ...string) {
	t.Helper()
	p.unfold(t)
	p.enter(t, byRole("textbox", "KooDrive token"), token)
	p.enter(t, byRole("textbox", "Task ids"), strings.Join(ids, "\n"))
	p.push(t, byRole("button", "Watch"))
}

// Columns of the list.
const (
	inStatus = "Status"
	inWatch  = "Watch"
)

// becomes waits until a cell of a task's row begins with some words.
func (p *tab) becomes(t *testing.T, id, column, words string) {
	t.Helper()
	p.sees(t, fmt.Sprintf(`cellOf(%q, %q).startsWith(%q)`, id, column, words))
}

// cell is the text of a cell in a task's row.
func (p *tab) cell(t *testing.T, id, column string) string {
	t.Helper()
	return eval[string](t, p, fmt.Sprintf(`cellOf(%q, %q)`, id, column))
}

// details opens the details of a task, and returns their text.
func (p *tab) details(t *testing.T, id string) string {
	t.Helper()
	if !eval[bool](t, p, `Boolean(`+byRole("region", "Task "+id)+`)`) {
		p.push(t, byRole("button", "Details of "+id))
		p.sees(t, byRole("region", "Task "+id))
	}
	return eval[string](t, p, byRole("region", "Task "+id)+`.innerText`)
}

// history opens the details of a task, and returns its history without times, oldest first.
func (p *tab) history(t *testing.T, id string) []string {
	t.Helper()
	p.details(t, id)
	list := byRole("list", "History of "+id)
	p.sees(t, list+`.querySelector('li')`)
	lines := eval[[]string](t, p, `[...`+list+`.querySelectorAll('li')].map((li) => { const line = li.cloneNode(true); line.querySelector('time').remove(); return line.textContent.trim(); })`)
	slices.Reverse(lines)
	return lines
}
