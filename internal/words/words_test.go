package main

import (
	"slices"
	"strings"
	"testing"
)

// Each rule finds what it is for, and leaves similar sentences alone that are good English.
func TestRules(t *testing.T) {
	for _, row := range []struct{ words, rules string }{
		{"What is no good changes nothing.", "clause without a noun, negated noun, negated noun"},
		{"An invalid file is ignored. The previous version stays in use.", ""},
		{"It depends on the caller, who may retry.", "clause without a noun"},
		{"The error says what is wrong, and what to do. The documents do not say what it means.", ""},
		{"It decides when and what. It checks what is sent. Memory is what is resident.", strings.TrimSuffix(strings.Repeat("clause without a noun, ", 3), ", ")},
		{"A policy for who acts for whom.", "clause without a noun"},
		{"The policy says for whom a caller may act, and decides who may call. Anybody who can read it may act.", ""},
		{"What does it mean?", ""},
		{"How long the answer may take.", "clause without a noun"},
		{"Maximum wait for the answer.", ""},
		{"The body is no JSON.", "negated noun"},
		{"The task is no longer there. There is no such task.", ""},
		{"The default is none.", "negated noun"},
		{"An answer of KooDrive's is kept.", "double genitive"},
		{"The form of KooDrive's answer is kept.", ""},
		{"A call under way fails at the most 3 times in succession.", "unusual term, unusual term, unusual term"},
		{"The ids are separated by blanks. A blank line ends it.", "unusual term"},
		{"It lasts ten minutes, or five seconds, and takes half of it, a fifth less.", strings.TrimSuffix(strings.Repeat("number in words, ", 4), ", ")},
		{"A caller with a thousand tasks ends two polls after one second. The third is half-open.", ""},
		{"It tells how a task stands.", "unusual term, unusual term"},
		{strings.Repeat("word ", 26) + "ends.", "long sentence"},
		{"The codes are " + strings.Repeat("NOT_FOUND, ", 30) + "and OK.", ""},
		{strings.Repeat("word ", 20) + "here; " + strings.Repeat("word ", 20) + "there.", ""},
	} {
		var found []string
		for _, f := range check(text{words: row.words, prose: true}) {
			found = append(found, f.rule)
		}
		slices.Sort(found)
		if got := strings.Join(found, ", "); got != row.rules {
			t.Errorf("%q: found %q, want %q", row.words, got, row.rules)
		}
	}
}

// The texts of each kind of file, with their lines.
func TestReaders(t *testing.T) {
	for _, row := range []struct {
		path, source string
		want         []text
	}{
		{
			path:   "docs/page.md",
			source: "# Title\n\nOne `a b`\nparagraph.\n\n- item [link](x.md)\n\n| a | b |\n\n```sh\nno text\n```\n<!-- generated: x -->\nno text\n<!-- end -->\nLast.\n",
			want: []text{
				{line: 1, words: "Title", title: true}, {line: 3, words: "One x paragraph.", prose: true}, {line: 6, words: "item link", prose: true},
				{line: 8, words: "a", prose: true}, {line: 8, words: "b", prose: true}, {line: 16, words: "Last.", prose: true},
			},
		},
		{
			path:   "proto/x.proto",
			source: "// One\n// comment.\n//\n// Two.\nmessage X {\n  // Three.\n",
			want:   []text{{line: 1, words: "One comment.", prose: true}, {line: 4, words: "Two.", prose: true}, {line: 6, words: "Three.", prose: true}},
		},
		{
			path:   "service/gateway/openapi.yaml",
			source: "a:\n  summary: One.\n  description: |\n    Two\n    lines.\n\n    Three.\n  b: {type: string, description: Four.}\n",
			want: []text{
				{line: 2, words: "One.", prose: true}, {line: 4, words: "Two lines.", prose: true}, {line: 7, words: "Three.", prose: true},
				{line: 8, words: "Four.", prose: true},
			},
		},
		{
			path:   "service/gateway/console/text.js",
			source: "const texts = {\n'en-US': {\n'a': 'One.', 'b': \"Two's.\",\n},\n'zh-CN': {\n'a': '一',\n",
			want:   []text{{line: 3, words: "One."}, {line: 3, words: "Two's."}},
		},
		{
			path:   "cmd/x/x.go",
			source: "package x\n\n// Not this.\nvar a = \"one %q \" + b + \" text\"\n\ntype b struct {\n\tC int `name:\"c\" help:\"Two words.\"`\n}\n",
			want:   []text{{line: 4, words: "one x x text"}, {line: 7, words: "Two words.", prose: true}},
		},
		{
			path:   "sabotage/promise_x.go",
			source: "package main\n\nvar p = promise{\n\tname: \"Not this.\",\n\ttext: \"Two \" +\n\t\t\"words.\",\n}\n",
			want:   []text{{line: 5, words: "Two words.", prose: true}},
		},
		{
			path:   "Makefile",
			source: "x := 1\na-b: c ## Do it: X (1).\n\t@echo '## not this'\n",
			want:   []text{{line: 2, words: "Do it: X (1).", prose: true}},
		},
		{
			path:   "service/gateway/docs/index.html",
			source: "<title>No words</title>\n<p>It needs a script.</p>\n",
			want:   []text{{line: 1, words: "No words", prose: true}, {line: 2, words: "It needs a script.", prose: true}},
		},
	} {
		reader := readerOf(row.path)
		if reader == nil {
			t.Errorf("nothing reads %s", row.path)
			continue
		}
		got, err := reader(row.source)
		for i := range got {
			got[i].words = plain(got[i].words)
		}
		if err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", row.path, err, got, row.want)
		}
	}
}
