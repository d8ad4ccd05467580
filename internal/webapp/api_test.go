package webapp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rialto/internal/admin"
	"rialto/internal/model"
)

func testAPI(calls *int) *API {
	return &API{Operations: []admin.Operation{
		{Name: "echo", Call: func(_ context.Context, c admin.Caller, args []byte) (any, error) {
			*calls++
			return map[string]string{"by": c.Name, "args": string(args)}, nil
		}},
		{Name: "missing", Call: func(context.Context, admin.Caller, []byte) (any, error) {
			return nil, model.E("x", model.KindNotFound, "user bob", nil)
		}},
		{Name: "broken", Call: func(context.Context, admin.Caller, []byte) (any, error) {
			return nil, errors.New("/var/secret/path exploded")
		}},
	}}
}

func TestCallAndFailures(t *testing.T) {
	var calls int
	srv := httptest.NewServer(testAPI(&calls).Handler())
	defer srv.Close()
	c := &Client{HTTP: srv.Client(), Base: srv.URL}
	var out map[string]string
	if err := c.Call("echo", map[string]int{"a": 1}, &out); err != nil || out["by"] != "local" || out["args"] != `{"a":1}` {
		t.Fatal(out, err)
	}
	if err := c.Call("missing", nil, nil); err == nil || err.Error() != "user bob: not found" {
		t.Errorf("%v", err)
	}
	if err := c.Call("broken", nil, nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the cause left the server: %v", err)
	}
	if err := c.Call("nothing", nil, nil); err == nil {
		t.Error("an operation that does not exist")
	}
	if err := c.Call("echo", strings.Repeat("x", maxArguments), nil); err == nil || calls != 1 {
		t.Errorf("arguments without limit: %v", err)
	}
}

// A page of another site can make a browser send a request with the password
// that it remembers; it can not hide where the request comes from.
func TestOtherSitesAreRefused(t *testing.T) {
	var calls int
	h := testAPI(&calls).Handler()
	for _, x := range []struct {
		name, value string
		want        int
	}{
		{"Sec-Fetch-Site", "cross-site", 403}, {"Sec-Fetch-Site", "same-site", 403}, {"Origin", "https://evil.test", 403},
		{"Sec-Fetch-Site", "same-origin", 200}, {"Origin", "http://mail.test", 200}, {"X-None", "", 200},
	} {
		r := httptest.NewRequest("POST", "http://mail.test/api/v1/echo", strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set(x.name, x.value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != x.want {
			t.Errorf("%s %s: %d, want %d", x.name, x.value, w.Code, x.want)
		}
		var f Failure
		if x.want == 403 && (json.Unmarshal(w.Body.Bytes(), &f) != nil || f.Kind == "") {
			t.Errorf("%s", w.Body)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestMetricsStayHere(t *testing.T) {
	site := &Site{Welcome: func() Welcome { return Welcome{Organization: "<Contoso>"} }, Metrics: prometheus.NewRegistry()}
	h, err := site.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{"127.0.0.1:9": 200, "[::1]:9": 200, "10.0.0.1:9": 403, "odd": 403} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", from, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<Contoso>") {
		t.Error("front page", w.Code)
	}
}
