package e2e

import (
	"testing"
)

// TestFrontPage: the browser shows where to point a mail program; headers keep
// the page from being misused.
func TestFrontPage(t *testing.T) {
	r := start(t)
	page := must(t, "", "curl", "-s", "-S", "-i", "http://"+r.addr["http"]+"/")
	contains(t, "page", page, "200 OK", "Content-Security-Policy: default-src 'none'", "Contoso mail", r.addr["imap"], "contoso.test")
	contains(t, "TLS page", must(t, "", "curl", "-s", "-S", "-k", "https://"+r.addr["https"]+"/"), "Contoso mail")
	contains(t, "unknown page", must(t, "", "curl", "-s", "-S", "-i", "http://"+r.addr["http"]+"/nothing"), "404")
	contains(t, "API without a password", must(t, "", "curl", "-s", "-S", "-i", "-X", "POST", "http://"+r.addr["http"]+"/api/v1/status"), "401 Unauthorized")
	contains(t, "API with one", must(t, "", "curl", "-s", "-S", "-u", "administrator:pw", "-X", "POST", "http://"+r.addr["http"]+"/api/v1/status"), `"organization":"Contoso"`)
}
