package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/secret"
)

func TestForwardNormalisesTokens(t *testing.T) {
	const signature = "HMAC-SHA256 AppId=a,SignedHeaders=host;x-date;x-user-id,Signature=00ff"
	for given, want := range map[string]string{
		"Bearer abc":  "Bearer abc",
		"bearer abc":  "Bearer abc",
		"Bearer+abc":  "Bearer abc",
		"BEARER+abc":  "Bearer abc",
		"abc":         "Bearer abc",
		"Bearer+a+b=": "Bearer a+b=",
		"AT abc":      "AT abc",
		signature:     signature,

		"Bearer  abc":    "Bearer abc",
		"bearer     abc": "Bearer abc",
		"Bearer+ abc":    "Bearer abc",
		"Bearer+  abc":   "Bearer abc",
		"AT   abc":       "AT abc",
		strings.Replace(signature, " ", "   ", 1):              signature,
		"Bearer" + strings.Repeat(" ", 4096-9) + "abc":         "Bearer abc",
		"Bearer   " + strings.Repeat("x", 4096-len("Bearer ")): "Bearer " + strings.Repeat("x", 4096-len("Bearer ")),
	} {
		c, err := Forward(secret.New(given), "1", "20240831T143829Z")
		if err != nil || c.authorization.Reveal() != want {
			t.Errorf("Forward(%q) = %q, %v; want %q", given, c.authorization.Reveal(), err, want)
		}
	}
}

// covering is a signature that covers headers.
func covering(names string) string {
	return "HMAC-SHA256 AppId=a,SignedHeaders=" + names + ",Signature=00ff"
}

// Headers that a signature may cover are sent exactly as they were signed.
func TestSignaturesCoverTheRequest(t *testing.T) {
	for _, names := range []string{"host;x-date;x-user-id", "x-date;x-user-id", "host", "Host;X-Date;X-User-Id"} {
		if _, err := Forward(secret.New(covering(names)), "1", "20240831T143829Z"); err != nil {
			t.Errorf("%s: %v", names, err)
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	const signature = "HMAC-SHA256 AppId=a,SignedHeaders=host,Signature=00"
	for name, row := range map[string]struct {
		authorization, userID, date string
		want                        CredentialError
	}{
		"nothing":           {"", "1", "", CredentialError{"authorization", true, ""}},
		"scheme alone":      {"Bearer ", "", "", CredentialError{"authorization", false, ""}},
		"scheme, no space":  {"Bearer", "", "", CredentialError{"authorization", false, ""}},
		"space in token":    {"Bearer a b", "", "", CredentialError{"authorization", false, ""}},
		"spaces alone":      {"Bearer   ", "", "", CredentialError{"authorization", false, ""}},
		"tab for a space":   {"Bearer \tabc", "", "", CredentialError{"authorization", false, ""}},
		"space, plus":       {"Bearer +", "1", "tomorrow", CredentialError{"x-date", false, ""}}, // The token is "+".
		"two tokens":        {"Bearer a, Bearer b", "", "", CredentialError{"authorization", false, ""}},
		"other scheme":      {"Basic dTpw", "", "", CredentialError{"authorization", false, ""}},
		"control character": {"Bearer a\tb", "", "", CredentialError{"authorization", false, ""}},
		"not ASCII":         {"Bearer ä", "", "", CredentialError{"authorization", false, ""}},
		"too long":          {"Bearer " + strings.Repeat("x", 4096), "", "", CredentialError{"authorization", false, ""}},
		"half a signature":  {"HMAC-SHA256 AppId=a", "1", "20240831T143829Z", CredentialError{"authorization", false, ""}},
		"no user":           {signature, "", "20240831T143829Z", CredentialError{"x-user-id", true, ""}},
		"no date":           {signature, "1", "", CredentialError{"x-date", true, ""}},
		"bad date":          {signature, "1", "2024-08-31", CredentialError{"x-date", false, ""}},
		"language covered":  {covering("host;language;x-date;x-user-id"), "1", "20240831T143829Z", CredentialError{"authorization", false, "language"}},
		"other covered":     {covering("Content-Type;host;x-date"), "1", "20240831T143829Z", CredentialError{"authorization", false, "content-type"}},
		"trace covered":     {covering("host;x-date;x-traceid;x-user-id"), "1", "20240831T143829Z", CredentialError{"authorization", false, "x-traceid"}},
		"a long name":       {covering(strings.Repeat("x", 65)), "1", "20240831T143829Z", CredentialError{"authorization", false, ""}},
		"no name":           {covering("host;;x-date"), "1", "20240831T143829Z", CredentialError{"authorization", false, ""}},
		"an odd name":       {covering("host;x-dat\"e"), "1", "20240831T143829Z", CredentialError{"authorization", false, ""}},
		"bad date, token":   {"Bearer a", "", "tomorrow", CredentialError{"x-date", false, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Forward(secret.New(row.authorization), row.userID, row.date)
			var got *CredentialError
			if !errors.As(err, &got) || *got != row.want {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const canary = "canary-7f3a"
	app := &App{ID: "app", Secrets: FixedSecrets(secret.New(canary))}
	forwarded, err := Forward(secret.New(canary), "", "")
	if err != nil {
		t.Fatal(err)
	}
	signing, err := app.As("1")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{app.Secrets()[0], *app, app, forwarded, &forwarded, signing, Query{credential: forwarded}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, canary) || strings.Contains(s, fmt.Sprintf("%x", canary)) {
				t.Errorf("%T prints with %s: %s", v, verb, s)
			}
		}
		if s, _ := json.Marshal(v); strings.Contains(string(s), canary) {
			t.Errorf("%T marshals: %s", v, s)
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "v", v)
		if strings.Contains(log.String(), canary) {
			t.Errorf("%T logs: %s", v, &log)
		}
	}
}

func TestKeyCoversEverythingThatChangesTheAnswer(t *testing.T) {
	hasher := secret.NewHasher()
	newClient := func(url string) *Client {
		c, err := NewClient(Config{BaseURL: url})
		if err != nil {
			t.Fatal(err)
		}
		c.keys = hasher
		return c
	}
	one, other := newClient("https://one.example"), newClient("https://other.example")
	forward := func(authorization, userID, date string) Credential {
		c, err := Forward(secret.New(authorization), userID, date)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	as := func(appID, userID string) Credential {
		c, err := (&App{ID: appID, Secrets: FixedSecrets(secret.New("s"))}).As(userID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	key := func(c *Client, credential Credential, taskID string) Key {
		q, err := c.Query(credential, taskID)
		if err != nil {
			t.Fatal(err)
		}
		return q.Key()
	}
	const date, later = "20240831T143829Z", "20240831T143830Z"
	const signature = "HMAC-SHA256 AppId=a,SignedHeaders=host;x-date;x-user-id,Signature=b"
	otherwise := newClient("https://one.example")
	otherwise.dialect = &Dialect{TokenPrefix: "Bearer+", Digest: "otherwise"}
	keys := map[Key]string{}
	for name, key := range map[string]Key{
		"first":               key(one, forward("a", "1", date), "9"),
		"other KooDrive":      key(other, forward("a", "1", date), "9"),
		"other token":         key(one, forward("b", "1", date), "9"),
		"other scheme":        key(one, forward("AT a", "1", date), "9"),
		"other user":          key(one, forward("a", "2", date), "9"),
		"no user":             key(one, forward("a", "", date), "9"),
		"other dialect":       key(otherwise, forward("a", "1", date), "9"),
		"signature":           key(one, forward(signature, "1", date), "9"),
		"its other date":      key(one, forward(signature, "1", later), "9"),
		"other task":          key(one, forward("a", "1", date), "8"),
		"app":                 key(one, as("a", "1"), "9"),
		"other app":           key(one, as("b", "1"), "9"),
		"app, other user":     key(one, as("a", "2"), "9"),
		"app, other KooDrive": key(other, as("a", "1"), "9"),
		"app, other task":     key(one, as("a", "1"), "8"),
		"not an app":          key(one, forward("app", "1", ""), "9"),
		"an app like it":      key(one, as("Bearer app", "1"), "9"),
		"shifted border":      key(one, as("a", "11"), "9"),
		"shifted border, 2":   key(one, as("a1", "1"), "9"),
	} {
		if twin, ok := keys[key]; ok {
			t.Errorf("%q and %q share a key", name, twin)
		}
		keys[key] = name
	}
	for _, same := range []Key{
		key(one, forward("Bearer+a", "1", date), "9"), key(one, forward("a", "1", later), "9"), key(one, forward("a", "1", ""), "9"),
	} {
		if keys[same] != "first" {
			t.Error("another spelling or date of a token has another key")
		}
	}
}
