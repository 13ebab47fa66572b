package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// words are the texts of the output for people in one language. words.yaml has them.
type words struct {
	language string // A tag of package reason.

	Comma, Unlisted, Waiting, Finished, More, Tasks, Confirmed, Polls, Fails, Answers, Interrupted, Lost, Cut, Again, Now string
	Timeout, Request, Stopped, Untyped, Advice                                                                            string

	NoToken  string `yaml:"noToken"`
	HTTPPort string `yaml:"httpPort"`
	NoAnswer string `yaml:"noAnswer"`

	Ends, Totals   map[int]string // By exit code.
	States, Labels map[string]string
}

//go:embed words.yaml
var wordsFile []byte

// allWords returns the texts by language.
func allWords() map[string]*words {
	var all map[string]*words
	if err := yaml.Unmarshal(wordsFile, &all); err != nil {
		panic(err) // A test reads the file.
	}
	for language, w := range all {
		w.language = language
	}
	return all
}

// wordsOfUser returns the texts in the language of the user's environment.
func wordsOfUser() *words {
	return allWords()[languageOf(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")))]
}

// simplified matches locales whose readers know Simplified Chinese, and whose encoding is UTF-8.
var simplified = regexp.MustCompile(`(?i)^zh([_-](Hans))?([_-](CN|SG|MY))?(\.utf-?8)?(@.*)?$`)

// languageOf returns the language for a locale such as zh_CN.UTF-8. It is English, except for Simplified Chinese.
func languageOf(locale string) string {
	if simplified.MatchString(locale) {
		return reason.Chinese
	}
	return reason.English
}

// state returns the name of a task's status.
func (w *words) state(task *taskv1.Task) string {
	if task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED {
		return fmt.Sprintf(w.Unlisted, task.GetKoodriveStatus())
	}
	name := strings.TrimPrefix(task.GetStatus().String(), "TASK_STATUS_")
	name = cmp.Or(w.States[name], name)
	if code := task.GetKoodriveResultCode(); code != "" {
		name += " " + code
	}
	return name
}

// cause returns the cause of an interruption.
func (w *words) cause(why *kootask.Error) string {
	if why.Reason != "" {
		return w.clause(why.Reason, cmp.Or(why.LocalizedMessage, why.Message))
	}
	return fmt.Sprintf(w.Lost, why.Message)
}

// brief returns a shorter cause.
func (w *words) brief(why *kootask.Error) string {
	if why.Reason != "" {
		return why.Reason
	}
	return fmt.Sprintf(w.Cut, innermost(why.Message))
}

// innermost returns the last part of a message of gRPC's library, which wraps the cause in several layers.
func innermost(message string) string {
	return strings.Trim(message[strings.LastIndex(message, ": ")+1:], ` "`)
}

// failing returns the reason of failed polls, with its meaning.
func (w *words) failing(h *taskv1.Heartbeat) string {
	return w.clause(h.GetFailureReason(), reason.Catalogue()[w.language][h.GetFailureReason()])
}

// clause returns a reason with its meaning, if that is known, as a part of a sentence. It leaves out the advice to retry,
// because a watch does so by itself.
func (w *words) clause(name, meaning string) string {
	if meaning == "" {
		return name
	}
	meaning, _, _ = strings.Cut(meaning, w.Advice)
	return name + ": " + strings.TrimRight(meaning, ".。")
}

// polls returns the number of failed polls.
func (w *words) polls(h *taskv1.Heartbeat) string { return fmt.Sprintf(w.Polls, h.GetFailureCount()) }

// again returns when a watch goes on.
func (w *words) again(after time.Duration) string {
	if after <= 0 {
		return w.Now
	}
	return fmt.Sprintf(w.Again, int(math.Ceil(after.Seconds())))
}

// words returns the texts for the output: English for JSON, otherwise in the user's language.
func (f clientFlags) words() *words {
	if f.Output == "json" {
		return allWords()[reason.English]
	}
	return wordsOfUser()
}

// options returns the options of each call.
func (c *connection) options() []kootask.Option {
	if c.words.language == reason.English {
		return nil // Errors are in English by themselves.
	}
	return []kootask.Option{kootask.Language(c.words.language)}
}
