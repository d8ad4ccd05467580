package org

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"rialto/internal/directory"
)

// AnonymousAccess is the bit of msExchAuthenticationFlags that lets clients in
// without signing in. An SMTP virtual server without it is a submission server
// (RFC 6409): Setup makes "Submission" (CN=2), bound to 587 and, with TLS from
// the first octet, 465.
const AnonymousAccess = 1

func seconds(n int64) time.Duration { return time.Duration(min(n, 1<<32)) * time.Second }

func protocolOf(e *directory.Entry) Protocol {
	switch {
	case e.Is("protocolCfgSMTPServer"):
		return SMTP
	case e.Is("protocolCfgIMAPServer"):
		return IMAP
	case e.Is("protocolCfgPOPServer"):
		return POP
	case e.Is("protocolCfgNNTPServer"):
		return NNTP
	case e.Is("protocolCfgHTTPServer"):
		return HTTP
	}
	return ""
}

func (r *reader) virtualServer(e *directory.Entry, p Protocol) VirtualServer {
	v := VirtualServer{GUID: e.GUID(), Protocol: p, Name: e.Text("adminDisplayName"), Enabled: e.Text("msExchServerAutoStart") != "FALSE",
		MaxConnections: int(number(e, "msExchMaxIncomingConnections")), IdleTimeout: seconds(number(e, "msExchIncomingConnectionTimeout"))}
	if v.Name == "" {
		v.Name = string(p) + " " + e.Text("cn")
	}
	v.Bindings = r.bindings(e, "msExchServerBindings")
	v.SecureBindings = r.bindings(e, "msExchSecureBindings")
	if p == SMTP {
		v.SMTP = r.smtp(e)
		flags, said := e.Int("msExchAuthenticationFlags")
		v.SMTP.Submission = said && flags&AnonymousAccess == 0
	}
	return v
}

func (r *reader) bindings(e *directory.Entry, attr string) (out []Binding) {
	for _, t := range e.Texts(attr) {
		b, ok := ParseBinding(t)
		if !ok {
			r.odd(e.DN, attr+": "+t)
			continue
		}
		out = append(out, b)
	}
	return out
}

// ParseBinding reads the "address:port:host header" of a binding; the header is
// for HTTP and not kept. An IPv6 address stands in brackets.
func ParseBinding(s string) (b Binding, ok bool) {
	rest := s
	if strings.HasPrefix(s, "[") {
		addr, after, found := strings.Cut(s[1:], "]")
		if !found {
			return b, false
		}
		b.Address, rest = addr, after
	} else {
		i := strings.IndexByte(s, ':')
		if i < 0 {
			return b, false
		}
		b.Address, rest = s[:i], s[i:]
	}
	if b.Address != "" {
		a, err := netip.ParseAddr(b.Address)
		if err != nil {
			return Binding{}, false
		}
		b.Address = a.String()
	}
	port, header, found := strings.Cut(strings.TrimPrefix(rest, ":"), ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || !found || len(header) > 255 || !strings.HasPrefix(rest, ":") {
		return Binding{}, false
	}
	b.Port = int(n)
	return b, true
}

// String returns the form ParseBinding reads.
func (b Binding) String() string {
	a := b.Address
	if strings.Contains(a, ":") {
		a = "[" + a + "]"
	}
	return a + ":" + strconv.Itoa(b.Port) + ":"
}

// minutes reads a number of minutes, def if it is missing or zero.
func minutes(e *directory.Entry, name string, def time.Duration) time.Duration {
	if n := number(e, name); n > 0 {
		return 60 * seconds(n)
	}
	return def
}

// defaultRetry, in minutes, is what a virtual server does that says nothing:
// three tries ten minutes apart, then one every quarter of an hour.
const defaultRetry = "10,10,10,15"

func (r *reader) smtp(e *directory.Entry) SMTPSettings {
	v := SMTPSettings{FQDN: e.Text("msExchSmtpFullyQualifiedDomainName"), MaxMessageSize: number(e, "msExchSmtpMaxMessageSize"),
		MaxRecipients: int(number(e, "msExchSmtpMaxRecipients")), MaxHops: int(number(e, "msExchSmtpMaxHopCount")),
		SmartHost: e.Text("msExchSmtpSmartHost"), Masquerade: e.Text("msExchSmtpMasqueradeDomain"),
		DelayNotice:  minutes(e, "msExchSmtpRemoteQueueDelayNotification", 12*time.Hour),
		Expire:       minutes(e, "msExchSmtpRemoteQueueExpirationTimeout", 48*time.Hour),
		RelayForAuth: e.Text("msExchSmtpRelayForAuth") != "FALSE"}
	text := e.Text("msExchSmtpRemoteQueueRetries")
	retry, ok := parseRetries(text)
	if !ok {
		if text != "" {
			r.odd(e.DN, "msExchSmtpRemoteQueueRetries: "+text)
		}
		retry, _ = parseRetries(defaultRetry)
	}
	v.Retry = retry
	var bad []string
	if v.RelayFor, bad = parseRelayList(e.Text("msExchSmtpRelayIpList")); len(bad) > 0 {
		r.odd(e.DN, "msExchSmtpRelayIpList: "+strings.Join(bad, ", "))
	}
	return v
}

// parseRetries reads minutes separated by commas or spaces, at most 16.
func parseRetries(s string) (out []time.Duration, ok bool) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
		n, err := strconv.ParseUint(f, 10, 20)
		if err != nil || n == 0 || len(out) == 16 {
			return nil, false
		}
		out = append(out, time.Duration(n)*time.Minute)
	}
	return out, len(out) > 0
}

// parseRelayList reads the addresses and subnets of msExchSmtpRelayIpList,
// which Rialto keeps as text, separated by commas, spaces or line ends; bad
// lists what is neither.
func parseRelayList(s string) (out, bad []string) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '\n' || r == '\r' }) {
		if a, err := netip.ParseAddr(f); err == nil {
			out = append(out, a.String())
		} else if p, err := netip.ParsePrefix(f); err == nil {
			out = append(out, p.Masked().String())
		} else {
			bad = append(bad, f)
		}
	}
	return out, bad
}
