package koodrivetest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

const (
	signedAt = "20240909T033325Z"
	user     = "1505084218764547200"
)

// sign makes an Authorization for a canonical request that the test wrote out by hand.
func sign(headers, canonical string) string {
	mac := hmac.New(sha256.New, []byte("secret"))
	fmt.Fprintf(mac, "HMAC-SHA256\n%x", sha256.Sum256([]byte(canonical)))
	return fmt.Sprintf("HMAC-SHA256 AppId=app,SignedHeaders=%s,Signature=%x", headers, mac.Sum(nil))
}

// setTime sets KooDrive's clock to an X-Date, and past it.
func setTime(t *testing.T, k *koodrivetest.KooDrive, date string, past time.Duration) {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		t.Fatal(err)
	}
	k.SetSkew(time.Until(at) + past)
}

// refusal returns why KooDrive refused the last request.
func refusal(k *koodrivetest.KooDrive) string {
	requests := k.Requests()
	return requests[len(requests)-1].Refused
}

func TestSignatureVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/app-signature.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			AppID         string `json:"app_id"`
			AppSecret     string `json:"app_secret"`
			Method        string `json:"method"`
			Host          string `json:"host"`
			RequestPath   string `json:"request_path"`
			UserID        string `json:"x_user_id"`
			Date          string `json:"x_date"`
			Authorization string `json:"authorization"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Vectors) == 0 {
		t.Fatalf("%d vectors: %v", len(file.Vectors), err)
	}
	for _, v := range file.Vectors {
		send := func(k *koodrivetest.KooDrive, change func(*http.Request)) string {
			k.SetTask(koodrivetest.Task{ID: strings.TrimPrefix(v.RequestPath, taskPath)})
			setTime(t, k, v.Date, time.Second)
			r := httptest.NewRequest(v.Method, v.RequestPath, nil)
			r.Host = v.Host
			r.Header.Set("X-User-Id", v.UserID)
			r.Header.Set("X-Date", v.Date)
			r.Header.Set("Authorization", v.Authorization)
			change(r)
			k.ServeHTTP(httptest.NewRecorder(), r)
			return refusal(k)
		}
		k := koodrivetest.New()
		if got := send(k, func(*http.Request) {}); got != "unknown AppId" {
			t.Errorf("%s before it is added: refused %q", v.AppID, got)
		}
		k.AddApp(v.AppID, v.AppSecret)
		if got := send(k, func(*http.Request) {}); got != "" || k.Requests()[1].Status != 200 {
			t.Errorf("%s: refused %q", v.AppID, got)
		}
		for what, change := range map[string]func(*http.Request){
			"host":   func(r *http.Request) { r.Host += ":443" },
			"path":   func(r *http.Request) { r.URL.Path += "0" },
			"query":  func(r *http.Request) { r.URL.RawQuery = "a" },
			"user":   func(r *http.Request) { r.Header.Set("X-User-Id", v.UserID+"0") },
			"date":   func(r *http.Request) { r.Header.Set("X-Date", v.Date[:len(v.Date)-3]+"00Z") },
			"method": func(r *http.Request) { r.Method = http.MethodPost; r.URL.Path = taskPath + "create" },
		} {
			if got := send(k, change); got != "wrong signature" {
				t.Errorf("%s, another %s: refused %q", v.AppID, what, got)
			}
		}
		k.AddApp(v.AppID, v.AppSecret+"x")
		if got := send(k, func(*http.Request) {}); got != "wrong signature" {
			t.Errorf("%s, another secret: refused %q", v.AppID, got)
		}
	}
}

func TestDateWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddApp("app", "secret")
		c := serve(t, k)
		authorization := sign("x-date;x-user-id", "GET\n"+taskPath+exampleID+"/\n\nx-date:"+signedAt+
			"\nx-user-id:"+user+"\n\nx-date;x-user-id\n"+emptyHash)
		for past, want := range map[time.Duration]string{
			-time.Hour:           "X-Date in the future",
			-1:                   "X-Date in the future",
			0:                    "",
			14 * time.Minute:     "",
			15 * time.Minute:     "",
			15*time.Minute + 1:   "X-Date too old",
			365 * 24 * time.Hour: "X-Date too old",
		} {
			setTime(t, k, signedAt, past)
			resp, body := c.do(c.request("GET", taskPath+exampleID, "",
				"Authorization", authorization, "X-Date", signedAt, "X-User-Id", user))
			if got := refusal(k); got != want {
				t.Errorf("%v past: refused %q, want %q", past, got, want)
			}
			if want != "" && (resp.StatusCode != 401 || !strings.Contains(body, "APIGW.0303")) {
				t.Errorf("%v past: got %s %s", past, resp.Status, body)
			}
		}
	})
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestCanonicalRequests(t *testing.T) {
	const (
		headers = "x-date;x-user-id"
		lines   = "x-date:" + signedAt + "\nx-user-id:" + user + "\n\n" + headers + "\n"
		create  = `{"taskType":1}`
	)
	for _, tt := range []struct {
		name, method, path, body string
		uri, query               string // canonical
	}{
		{"query", "GET", taskPath + "list?b=2&a=1&B=%7e+x&c&a=0", "",
			taskPath + "list/", "B=~%20x&a=1&a=0&b=2&c="},
		{"reserved", "GET", taskPath + "a%2fb:c%20~", "", taskPath + "a%2Fb%3Ac%20~/", ""},
		{"relative", "GET", taskPath + "..", "", "/koodrive/ose/v1/", ""},
		{"body", "POST", taskPath + "create", create, taskPath + "create/", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := koodrivetest.New()
			k.AddApp("app", "secret")
			setTime(t, k, signedAt, time.Second)
			hash := sha256.Sum256([]byte(tt.body))
			canonical := fmt.Sprintf("%s\n%s\n%s\n%s%x", tt.method, tt.uri, tt.query, lines, hash)
			c := serve(t, k)
			c.do(c.request(tt.method, tt.path, tt.body,
				"Authorization", sign(headers, canonical), "X-Date", signedAt, "X-User-Id", user))
			if why := refusal(k); why != "" {
				t.Errorf("refused: %s", why)
			}
		})
	}
}

func TestUndecodableQuery(t *testing.T) {
	k := koodrivetest.New()
	k.AddApp("app", "secret")
	setTime(t, k, signedAt, time.Second)
	c := serve(t, k)
	for _, query := range []string{"%zz", "a=%zz"} {
		c.do(c.request("GET", taskPath+"list?"+query, "",
			"Authorization", sign("x-date;x-user-id", ""), "X-Date", signedAt, "X-User-Id", user))
		if got := refusal(k); got != "undecodable query" {
			t.Errorf("%s: refused %q", query, got)
		}
	}
}

func TestMalformedSignatures(t *testing.T) {
	k := koodrivetest.New()
	k.AddApp("app", "secret")
	setTime(t, k, signedAt, time.Second)
	c := serve(t, k)
	for _, tt := range []struct{ authorization, date, want string }{
		{"HMAC-SHA256 x", signedAt, "malformed Authorization"},
		{"HMAC-SHA256 AppId=app, SignedHeaders=x-date;x-user-id, Signature=0", signedAt, "malformed Authorization"},
		{"HMAC-SHA256 SignedHeaders=x-date;x-user-id,AppId=app,Signature=0", signedAt, "malformed Authorization"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0,", signedAt, "malformed Authorization"},
		{"hmac-sha256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0", signedAt, "unknown token"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=,Signature=0", signedAt, "X-Date or X-User-Id not signed"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=host;x-date,Signature=0", signedAt, "X-Date or X-User-Id not signed"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-user-id;x-date,Signature=0", signedAt,
			"SignedHeaders not in lower case and ascending order"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=Host;x-date;x-user-id,Signature=0", signedAt,
			"SignedHeaders not in lower case and ascending order"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-more;x-user-id,Signature=0", signedAt,
			"signed header x-more not sent exactly once"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=", signedAt, "wrong signature"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0", "", "malformed X-Date"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0", "20240909T033325.1Z", "malformed X-Date"},
		{"HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0", "2024-09-09T03:33:25Z", "malformed X-Date"},
	} {
		resp, _ := c.do(c.request("GET", taskPath+exampleID, "",
			"Authorization", tt.authorization, "X-Date", tt.date, "X-User-Id", user))
		if got := refusal(k); resp.StatusCode != 401 || got != tt.want {
			t.Errorf("%s at %q: %s, refused %q, want %q", tt.authorization, tt.date, resp.Status, got, tt.want)
		}
	}
}
