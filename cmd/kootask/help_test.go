package main

import (
	"strings"
	"testing"
)

// Requested help is on the standard output.
func TestHelpCommand(t *testing.T) {
	for _, command := range []string{"", "get", "help"} {
		flag, words := []string{"--help"}, []string{"help"}
		if command != "" {
			flag, words = []string{command, "--help"}, []string{"help", command}
		}
		_, want, _ := ask(t, flag...)
		if code, stdout, stderr := ask(t, words...); code != exitOK || stderr != "" || stdout != want {
			t.Errorf("%q: exit %d, %s%s", words, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := ask(t, "help", "srve"); code != exitUsage || stdout != "" || stderr != "kootask: unknown command \"srve\": kootask help lists the commands\n" {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}

// If the command or an argument is missing, the help or the usage is part of the error.
func TestMissingArguments(t *testing.T) {
	_, help, _ := ask(t, "--help")
	usage := func(line string) string {
		words := strings.Fields(line)
		return "Usage: kootask " + line + " [flags]\nRun \"kootask " + words[0] + " --help\" for more information.\n"
	}
	for line, want := range map[string]string{
		"":                        help + "\nkootask: the command is missing: choose one of those above\n",
		"get":                     "kootask: expected \"<id> ...\"\n" + usage("get <id> ..."),
		"wait --timeout=1s":       "kootask: expected \"<id> ...\"\n" + usage("wait <id> ..."),
		"explain":                 "kootask: expected \"<reason|code>\"\n" + usage("explain <reason|code>"),
		"completion":              "kootask: expected \"<shell>\"\n" + usage("completion <shell>"),
		"srve":                    "kootask: unexpected argument srve, did you mean \"serve\"?\n",
		"get 1 --output=xml":      "kootask: --output must be one of \"auto\",\"json\" but got \"xml\"\n",
		"version of":              "kootask: unexpected argument of\n",
		"get --no-such-flag":      "kootask: unknown flag --no-such-flag\n",
		"completion bash another": "kootask: unexpected argument another\n",
	} {
		if code, stdout, stderr := ask(t, strings.Fields(line)...); code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%q: exit %d, %q, want %q", line, code, stdout+stderr, want)
		}
	}
}
