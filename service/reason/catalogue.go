package reason

import (
	"maps"
	"slices"
	"strings"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// English is the language of every status. Calls that ask for it get the same text as LocalizedMessage.
const English = "en-US"

// catalogues are the languages of errors. To add one, add its catalogue and a row here.
var catalogues = map[string]map[taskv1.ErrorReason]string{
	English: english(),
	Chinese: chinese,
}

// english returns the texts of the table.
func english() map[taskv1.ErrorReason]string {
	texts := map[taskv1.ErrorReason]string{}
	for reason, row := range rows {
		texts[reason] = row.english
	}
	return texts
}

// Languages returns the languages of errors, as BCP 47 tags, sorted.
func Languages() []string { return slices.Sorted(maps.Keys(catalogues)) }

// Language returns the tag of a requested language, ignoring case and accepting an underscore for a hyphen; empty if
// there is no catalogue in it.
func Language(asked string) string {
	asked = strings.ToLower(strings.ReplaceAll(asked, "_", "-"))
	for tag := range catalogues {
		if strings.ToLower(tag) == asked { // EqualFold would also match letters outside ASCII.
			return tag
		}
	}
	return ""
}

// Catalogue returns the text of every reason, by language and reason.
func Catalogue() map[string]map[string]string {
	all := map[string]map[string]string{}
	for language, texts := range catalogues {
		all[language] = map[string]string{}
		for reason := range rows {
			all[language][reason.String()] = texts[reason]
		}
	}
	return all
}
