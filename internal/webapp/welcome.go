package webapp

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed welcome.html
var welcomeHTML string

// Welcome is what the front page tells.
type Welcome struct {
	Organization string
	Domain       string
	Rows         []WelcomeRow
}

// WelcomeRow is one line of "where to point a mail program".
type WelcomeRow struct{ What, Address, Security string }

// Site is everything the HTTP virtual server serves.
type Site struct {
	Welcome func() Welcome
	API     *API
	Metrics prometheus.Gatherer
}

// Handler returns the site. Metrics are for the machine itself.
func (s *Site) Handler() (http.Handler, error) {
	page, err := template.New("welcome").Parse(welcomeHTML)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_ = page.Execute(w, s.Welcome()) // the client went away
	})
	if s.API != nil {
		mux.Handle("/api/v1/", s.API.Handler())
	}
	mux.Handle("GET /metrics", localOnly(promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})))
	return mux, nil
}

// localOnly refuses callers from elsewhere.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !a.Addr().Unmap().IsLoopback() {
			http.Error(w, "metrics are for this machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
