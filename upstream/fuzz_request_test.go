package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// hostile are ids that would lead to another path or host.
var hostile = []string{
	"", ".", "..", "...", "../users/1", "//evil.example/x", "/", "a/b", "a%2Fb", "%2e%2e", "a?b", "a#b", "a b", "a\n", "\n", "a\r\nHost: x", "a\x00",
	"a;b", "a\\b", "..\\..", "@", "a@b:80", "a:watch", "http://evil.example", "list", "LIST", "result", "Create", "dstuserinfo", "dstUserInfo/1",
	"lists", "ＬＩＳＴ", "liſt", "ä", "\xff", "١", "\u202e", "-", "_", "-1", "a-B_9", strings.Repeat("x", 64), strings.Repeat("x", 65),
}

// Every accepted id is exactly one segment of the path of one task at the same host, byte for byte. Every other id fails with a
// typed error before anything is sent.
func FuzzTaskID(f *testing.F) {
	for _, id := range append(hostile, id) {
		f.Add(id)
	}
	c, err := NewClient(Config{BaseURL: "https://koodrive.test"})
	if err != nil {
		f.Fatal(err)
	}
	credential, err := Forward(secret.New("token"), "", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id string) {
		q, err := c.Query(credential, id)
		if fits := isPlain(id); fits != (err == nil) {
			t.Fatalf("%q: %v", id, err)
		}
		if err != nil {
			var typed *TaskIDError
			if !errors.As(err, &typed) || len(id) > 24 && strings.Contains(err.Error(), id) {
				t.Errorf("%q: %v", id, err)
			}
			return
		}
		req, err := c.build(t.Context(), request{Query: q, path: taskPath + id})
		if err != nil {
			t.Fatal(err)
		}
		if u := req.URL.String(); u != "https://koodrive.test/koodrive/ose/v1/task/"+id {
			t.Errorf("%q: URL %s", id, u)
		}
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatal(err)
		}
		want := "GET /koodrive/ose/v1/task/" + id + " HTTP/1.1\r\nHost: koodrive.test\r\n"
		if !strings.HasPrefix(wire.String(), want) {
			t.Errorf("%q: %q", id, wire.String())
		}
	})
}

// isPlain is the rule for task ids, written without a regular expression.
func isPlain(id string) bool {
	const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	lower := strings.ToLower(id)
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, characters) == "" && inside(id, characters) &&
		lower != "list" && lower != "result" && lower != "create" && lower != "dstuserinfo"
}

func inside(s, characters string) bool {
	for i := range len(s) {
		if strings.IndexByte(characters, s[i]) < 0 {
			return false
		}
	}
	return true
}

// The signature covers exactly the bytes that are sent: KooDrive's double recomputes it, by its own reading of KooDrive's
// documents, from the request on the wire, and accepts it for any host, user and task.
func FuzzSignature(f *testing.F) {
	for _, base := range []string{
		"https://koodrive.test", "https://koodrive.test:443", "https://KOODRIVE.test:8443/", "http://127.0.0.1:80", "http://127.0.0.1:8080", "https://[::1]",
		"https://[::1]:443", "https://[fe80::1%25eth0]:8443", "https://koo_drive", "https://koodrive.test.", "https://bücher.example", "https://a%20b", "https://a;b,c",
		"https://a:0443", "https://%41.test", "HTTPS://koodrive.test",
	} {
		f.Add(base, "app-one", "s3cr3t", "1395497048157130881", id, uint8(0))
	}
	for _, user := range []string{"1", " 1", "1 ", "1\t", "a b", "ä", "\xff", "a\nx-date:b", "a\r\nX-User-Id: b", "\x00", strings.Repeat("9", 64)} {
		f.Add("https://koodrive.test", "a=b;c", "\x00ä", user, "a-B_9", uint8(1))
	}
	f.Add("https://koodrive.test", "a,SignedHeaders=host", "s", "1", id, uint8(2))
	f.Fuzz(func(t *testing.T, base, appID, key, userID, taskID string, language uint8) {
		app := &App{ID: appID, Secrets: FixedSecrets(secret.New(key))}
		c, err := NewClient(Config{BaseURL: base, AllowHTTP: true})
		if err != nil || app.Check() != nil || CheckTaskID(taskID) != nil {
			return // Nothing is sent.
		}
		credential, err := app.As(userID)
		if err != nil {
			return // Nothing is sent.
		}
		q := request{Query: Query{credential: credential}, path: taskPath + taskID}
		q.Language = []string{"", "zh-CN", "en-US"}[language%3]
		req, err := c.build(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatalf("it cannot be sent: %v", err)
		}
		came, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("it cannot be read: %v", err)
		}
		if came.Host != req.Host {
			t.Errorf("the host is %q, and %q is sent", req.Host, came.Host)
		}

		k := koodrivetest.New()
		k.AddApp(appID, key)
		k.SetTask(koodrivetest.Task{ID: taskID})
		k.ServeHTTP(httptest.NewRecorder(), came)
		if r := k.Requests()[0]; r.Status != http.StatusOK || r.Refused != "" || r.TaskID != taskID {
			t.Errorf("refused: %q, %d\n%s", r.Refused, r.Status, canonical(q, req))
		}
	})
}

// canonical is the text that a request signs.
func canonical(q request, req *http.Request) string {
	return signed{
		method: req.Method, host: req.Host, path: req.URL.EscapedPath(), date: req.Header.Get(HeaderDate), userID: q.credential.userID,
	}.canonicalRequest()
}

// An accepted credential is sent as it is stored: one printable value per header. Parsing the stored form again gives the same
// credential, and no error quotes a refused one.
func FuzzForward(f *testing.F) {
	const date = "20240831T143829Z"
	for _, authorization := range []string{
		"", "abc", "Bearer abc", "bearer abc", "Bearer+abc", "BEARER+a+b=", "Bearer+Bearer+abc", "Bearer Bearer", "bearer", "Bearer", "Bearer ", "Bearer  a",
		"AT abc", "AT AT", "AT Bearer", "AT ", "at abc", "Basic dTpw", "Bearer a, Bearer b", "Bearer a\tb", "a\r\nHost: x", "ä", "\xff", "\x00", "\x7f", " a", "a ",
		"HMAC-SHA256 AppId=a,SignedHeaders=host;x-date;x-user-id,Signature=00ff", "HMAC-SHA256 ", "HMAC-SHA256 AppId=a", "hmac-sha256 AppId=a", "HMAC-SHA256",
		"HMAC-SHA256 AppId=a, SignedHeaders=host, Signature=0", "HMAC-SHA256 AppId=a,AppId=b,SignedHeaders=host,Signature=0", strings.Repeat("x", 4089), strings.Repeat("x", 4090), "AT " + strings.Repeat("x", 4093),
	} {
		f.Add(authorization, "1", date)
		f.Add(authorization, "", "")
	}
	for _, user := range []string{" 1", "1 ", "a b", "ä", "\xff", "a\r\nX-User-Id: b", "\x00"} {
		f.Add("abc", user, date)
	}
	for _, date := range []string{"20240831T143829.5Z", "2024-08-31T14:38:29Z", "20240831T143829Z ", "20240831T143829z", "20249931T143829Z", "\n"} {
		f.Add("abc", "1", date)
	}
	c, err := NewClient(Config{BaseURL: "https://koodrive.test"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, userID, date string) {
		credential, err := Forward(secret.New(authorization), userID, date)
		if err != nil {
			var typed *CredentialError
			if !errors.As(err, &typed) || credential != (Credential{}) {
				t.Fatalf("%+v, %v", credential, err)
			}
			if !slices.Contains([]string{"authorization", "x-user-id", "x-date"}, typed.Header) {
				t.Errorf("it names %q", typed.Header)
			}
			return
		}
		kept := credential.authorization.Reveal()
		again, err := Forward(credential.authorization, userID, date)
		if err != nil || again.authorization.Reveal() != kept {
			t.Errorf("%q is kept as %q, and then as %q, %v", authorization, kept, again.authorization.Reveal(), err)
		}
		req, err := c.build(t.Context(), request{Query: Query{credential: credential}, path: taskPath + id})
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatal(err)
		}
		came, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatal(err)
		}
		sent := date
		if !strings.HasPrefix(kept, signatureScheme) { // The date beside a token is not sent.
			sent = ""
		}
		for name, want := range map[string]string{HeaderAuthorization: kept, HeaderUserID: userID, HeaderDate: sent} {
			got := came.Header.Values(name)
			if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
				t.Errorf("%s: %q came, want %q", name, got, want)
			}
			if strings.ContainsFunc(want, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: %q", name, want)
			}
		}
		if scheme, token, _ := strings.Cut(kept, " "); !slices.Contains([]string{"Bearer", "AT", "HMAC-SHA256"}, scheme) || token == "" {
			t.Errorf("%q is kept as %q", authorization, kept)
		}
		if date != "" && (len(date) != len("20240831T143829Z") || !inside(date, "0123456789TZ")) {
			t.Errorf("the date %q is accepted", date)
		}
		if len(came.Header) > 7 {
			t.Errorf("%v", came.Header)
		}
	})
}

// split cuts text into n parts, at the places that cuts says.
func split(text string, cuts []uint8) []string {
	at := []int{0, len(text)}
	for _, cut := range cuts {
		at = append(at, int(cut)%(len(text)+1))
	}
	slices.Sort(at)
	var parts []string
	for i := 1; i < len(at); i++ {
		parts = append(parts, text[at[i-1]:at[i]])
	}
	return parts
}

// Two different requests never have the same text to sign, even if they differ only in where one part ends and the next begins.
func FuzzCanonicalRequest(f *testing.F) {
	f.Add("koodrive.test12345", "koodrive.test12345", uint8(13), uint8(15), uint8(13), uint8(16))
	f.Add("koodrive.test12345", "koodrive.test12345", uint8(13), uint8(15), uint8(12), uint8(15))
	f.Add("aa1bb", "aab1b", uint8(2), uint8(3), uint8(3), uint8(4))
	f.Add("h12u", "h12u", uint8(1), uint8(2), uint8(1), uint8(3))
	f.Add("aabb", "abab", uint8(1), uint8(2), uint8(1), uint8(2))
	f.Add("h1u", "h1U", uint8(1), uint8(2), uint8(1), uint8(2))
	f.Add("h1x-date:2\nx-user-id:3", "h1x-date:2", uint8(1), uint8(2), uint8(1), uint8(2))
	f.Add("h1x-user-id:host;x-date", "h1x-user-id:host;x-date", uint8(1), uint8(2), uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, one, two string, a, b, c, d uint8) {
		first, ok := signable(t, split(one, []uint8{a, b}))
		second, ok2 := signable(t, split(two, []uint8{c, d}))
		if !ok || !ok2 {
			return // One of them is never signed.
		}
		if same := first == second; same != (first.canonicalRequest() == second.canonicalRequest()) {
			t.Errorf("%+v and %+v, the same: %v\n%s\n%s", first, second, same, first.canonicalRequest(), second.canonicalRequest())
		}
	})
}

// signable is the text that is signed for a host, a task and a user, if they are accepted.
func signable(t *testing.T, parts []string) (signed, bool) {
	t.Helper()
	c, err := NewClient(Config{BaseURL: "https://" + parts[0]})
	if err != nil || CheckTaskID(parts[1]) != nil {
		return signed{}, false
	}
	credential, err := (&App{ID: "a", Secrets: FixedSecrets(secret.New("s"))}).As(parts[2])
	if err != nil {
		return signed{}, false
	}
	req, err := c.build(t.Context(), request{Query: Query{credential: credential}, path: taskPath + parts[1]})
	if err != nil {
		t.Fatal(err)
	}
	return signed{
		method: req.Method, host: req.Host, path: req.URL.EscapedPath(), date: "20240831T143829Z", userID: credential.userID,
	}, true
}
