package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule is a pattern, and what to write in its place.
type rule struct {
	name, fix string
	pattern   *regexp.Regexp
	// harmless are words that make a match harmless, if they are in it or next to it.
	harmless []string
	// titles extends the rule to headings and questions.
	titles bool
}

// rules are applied to one sentence at a time, in which x replaces quoted code.
var rules = []rule{
	{
		name: noNoun, fix: "Give the clause a noun as its subject",
		pattern: regexp.MustCompile(
			`^(What|Who|Whom)\b|, (who|whom)\b|\b[Ww]hoever\b|\b(of|by|from|with|beside|than|changes) whom\b|` +
				`\b(who|what) [^,]*\b(whom|what)$|\b(who|what) [^,]*\b(whom|what)[.,:;)]`),
	},
	{
		name: noNoun, fix: "Name the noun in place of what",
		pattern: regexp.MustCompile(`\b[A-Za-z]+[,:]? what\b`),
		// An indirect question is not such a clause: "the error says what is wrong, and what to do".
		harmless: []string{"say", "says", "said", "know", "knows", "explain", "explains", "to"},
	},
	{
		name: noNoun, fix: "Begin with the noun that is set or described, such as Maximum or Time",
		pattern: regexp.MustCompile(`^(How (many|much|long|often|old)|Which|Whose)\b`),
	},
	{
		name: negated, fix: "Say what it is, or that it is not one",
		pattern:  regexp.MustCompile(`(?i)\b(is|are|was|were|be|becomes) no [a-z]+`),
		harmless: []string{"there", "longer", "more", "less", "later", "earlier", "older", "newer"}, titles: true,
	},
	{
		name: negated, fix: "Name the noun that is absent or invalid",
		pattern: regexp.MustCompile(`(?i)\b(is|are|has|have|had) none\b|\bno good\b|\bis not one\b`), titles: true,
	},
	{
		name: "double genitive", fix: "Leave out the of or the 's", titles: true,
		pattern: regexp.MustCompile(`\bof (KooDrive|kootask|gRPC|Go|nginx)'s` +
			`([.,;:)]|$| (at|that|which|is|was|has|are|with|for|in|or|and|to)\b)`),
	},
	unusual(`under way`, "in flight for a call, in progress for a task"),
	unusual(`in succession`, "consecutive"),
	unusual(`at the (most|least)`, "at most, at least"),
	unusual(`anew`, "again"),
	unusual(`again and again`, "poll, or repeatedly"),
	unusual(`out of order`, "unavailable, or fails"),
	unusual(`mend|mended|mends`, "fix"),
	unusual(`heed|heeds|heeded`, "obey, or ignore"),
	unusual(`(tell|tells|told|telling) (how|of|that|whether|when|what|why|to)`, "report, send, or say"),
	unusual(`(its|their|in|whose) turns?`, "queue, or slot"),
	unusual(`blanks?`, "space", "line", "lines"),
	unusual(`as (it|they) stands?|how (a|the) [a-z]+ stands|how [a-z]+ stand`, "status, or as it is"),
	unusual(`(cannot|could not) be had`, "cannot be fetched, reached or read"),
	{
		name: inWords, fix: "Write figures, such as 10 s, 50 % or 1.5 times", titles: true,
		pattern: regexp.MustCompile(`(?i)\b(` +
			`(` + small + `)[ -](` + units + `)|` +
			`ten|eleven|twelve|[a-z]+teen|` + tens + `|hundred|million|dozen|` +
			`half|halves|quarters?|thirds|fifths|eighths|tenths|` +
			`(a|an|one) (third|fifth|eighth|tenth|hundredth) (of|each|less|more|sooner|later|shorter|longer)|` +
			`(twice|thrice) as [a-z]+)\b`),
		harmless: []string{"-open"},
	},
}

// Names that several rules share.
const (
	noNoun  = "clause without a noun"
	negated = "negated noun"
	inWords = "number in words"
	tooLong = "long sentence"
)

// Numbers in words. Small ones may count things, as in "two consecutive polls", but not units. "A thousand tasks" stands
// for any large number.
const (
	small = "two|three|four|five|six|seven|eight|nine"
	units = "milliseconds?|seconds?|minutes?|hours?|days?|weeks?|bytes?|bits?|[km]ib|percent|times|cores?|thousand"
	tens  = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)

// unusual returns the rule for a term that has a usual alternative.
func unusual(pattern, usual string, harmless ...string) rule {
	return rule{
		name: "unusual term", pattern: regexp.MustCompile(`(?i)\b(` + pattern + `)\b`), fix: "Usual: " + usual,
		harmless: harmless, titles: true,
	}
}

// maxWords is the limit on the words of a sentence.
const maxWords = 25

// finding is a match of a rule.
type finding struct{ rule, match, sentence, fix string }

// check returns the findings in a text.
func check(t text) (found []finding) {
	for _, s := range sentences(t.words) {
		title := t.title || strings.HasSuffix(s, "?")
		for _, r := range rules {
			for _, at := range r.pattern.FindAllStringIndex(s, -1) {
				if (r.titles || !title) && !r.isHarmless(s, at) {
					found = append(found, finding{r.name, strings.Trim(s[at[0]:at[1]], ", "), s, r.fix})
				}
			}
		}
		if n := length(s); t.prose && n > maxWords {
			fix := "Split it: at most " + strconv.Itoa(maxWords) + " words"
			found = append(found, finding{tooLong, strconv.Itoa(n) + " words", s, fix})
		}
	}
	return found
}

// isHarmless reports whether the match at a position of s has a harmless word in it or next to it.
func (r rule) isHarmless(s string, at []int) bool {
	near := strings.Fields(s[at[0]:at[1]])
	if before := strings.Fields(s[:at[0]]); len(before) > 0 {
		near = append(near, before[len(before)-1])
	}
	if after := strings.Fields(s[at[1]:]); len(after) > 0 {
		near = append(near, after[0])
	}
	return slices.ContainsFunc(near, func(w string) bool {
		return slices.Contains(r.harmless, strings.ToLower(strings.Trim(w, ".,;:()")))
	})
}

var name = regexp.MustCompile(`^[A-Z0-9_]{2,},?$`)

// length returns the number of words in a sentence, without names in capitals: a list of codes is easy to read.
func length(s string) (n int) {
	for _, w := range strings.Fields(s) {
		if !name.MatchString(w) {
			n++
		}
	}
	return n
}

// names returns the distinct names of the rules.
func names() (all []string) {
	for _, r := range rules {
		if !slices.Contains(all, r.name) {
			all = append(all, r.name)
		}
	}
	return append(all, tooLong)
}

var end = regexp.MustCompile(`[.!?:;]\)?(\s+|$)`)

// sentences splits a text into sentences. Colons and semicolons also end one, because each side can be read by itself.
func sentences(words string) (all []string) {
	from := 0
	for _, at := range end.FindAllStringIndex(words, -1) {
		all = append(all, strings.TrimSpace(words[from:at[1]]))
		from = at[1]
	}
	if rest := strings.TrimSpace(words[from:]); rest != "" {
		all = append(all, rest)
	}
	return all
}
