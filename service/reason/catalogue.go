package reason

// Languages that a call may ask for errors in.
const (
	English = "en-US"
	Chinese = "zh-CN"
)

// Catalogue returns what every reason says to people: language, name of the reason, text.
func Catalogue() map[string]map[string]string {
	all := map[string]map[string]string{English: {}, Chinese: {}}
	for language, texts := range all {
		for reason, row := range rows {
			texts[reason.String()] = row.text(language)
		}
	}
	return all
}

// text is what the row says in a language, empty if it has none in it.
func (r row) text(language string) string {
	switch language {
	case English:
		return r.english
	case Chinese:
		return r.chinese
	default:
		return ""
	}
}
