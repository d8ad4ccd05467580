package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// SystemResolver asks the system's resolver.
type SystemResolver struct{}

// LookupMX implements Resolver.
func (SystemResolver) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	return net.DefaultResolver.LookupMX(ctx, domain)
}

// LookupHost implements Resolver.
func (SystemResolver) LookupHost(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

// hopError says why a next hop can not be used.
type hopError struct {
	permanent bool
	status    string
	text      string
}

// Error implements error.
func (e *hopError) Error() string { return e.status + " " + e.text }

// orderMX puts exchangers in the order to try: by preference, in random order
// among equals (RFC 5321 5.1). self reports a name of ours: it and all that are
// not preferred to it go, else mail would go round in circles. A sole "." says
// that the domain takes no mail (RFC 7505).
func orderMX(mx []*net.MX, self func(string) bool, random func(int) int) ([]string, *hopError) {
	if len(mx) == 1 && (mx[0].Host == "." || mx[0].Host == "") {
		return nil, &hopError{true, "5.1.10", "The domain does not take mail"}
	}
	list := slices.Clone(mx)
	for i := range list { // shuffle, then sort by preference without disturbing equals
		j := i + random(len(list)-i)
		list[i], list[j] = list[j], list[i]
	}
	slices.SortStableFunc(list, func(a, b *net.MX) int { return int(a.Pref) - int(b.Pref) })
	limit := 1 << 16
	for _, m := range list {
		if self(hostName(m.Host)) {
			limit = min(limit, int(m.Pref))
		}
	}
	var hosts []string
	for _, m := range list {
		if h := hostName(m.Host); h != "" && int(m.Pref) < limit && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		return nil, &hopError{true, "5.3.5", "The domain's mail exchanger is this server, which does not know the domain"}
	}
	return hosts, nil
}

func hostName(h string) string { return strings.ToLower(strings.TrimSuffix(h, ".")) }

// target is one host to try and the port to try it on.
type target struct {
	host string // name, or an address literal without brackets
	port int
}

// parseHost reads host, host:port, [address] or [address]:port.
func parseHost(s string) (host string, port int) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, rest, _ = strings.Cut(rest, "]")
		if len(host) > 5 && strings.EqualFold(host[:5], "IPv6:") {
			host = host[5:]
		}
		port, _ = strconv.Atoi(strings.TrimPrefix(rest, ":"))
		return host, port
	}
	if h, p, err := net.SplitHostPort(s); err == nil {
		port, _ = strconv.Atoi(p)
		return h, port
	}
	return s, 0
}

// targets lists the hosts of a hop in the order to try.
func (t *Transport) targets(ctx context.Context, hop Hop) ([]target, *hopError) {
	cfg := t.opt.Org.Config()
	self := func(h string) bool {
		return strings.EqualFold(h, t.hostname(cfg)) || strings.EqualFold(h, cfg.Server.FQDN)
	}
	if hop.Kind == HopHost || strings.HasPrefix(hop.Name, "[") {
		host, port := parseHost(hop.Name)
		if port == 0 {
			if self(host) {
				return nil, &hopError{true, "5.3.5", "The smart host is this server itself"}
			}
			port = t.opt.Port(host)
		}
		return []target{{host, port}}, nil
	}
	mx, err := t.opt.Resolver.LookupMX(ctx, hop.Name)
	hosts := []string{hop.Name}
	if len(mx) > 0 { // net may return what is good beside an error for what is not
		var bad *hopError
		if hosts, bad = orderMX(mx, self, t.opt.Rand); bad != nil {
			return nil, bad
		}
	} else if err != nil && !notFound(err) {
		return nil, &hopError{false, "4.4.3", "Name server: " + err.Error()}
	} else if self(hop.Name) {
		return nil, &hopError{true, "5.3.5", "The domain is this server, which does not know it"}
	}
	out := make([]target, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, target{h, t.opt.Port(h)})
	}
	return out, nil
}

// addresses looks a host up; permanent is an answer that it does not exist.
func (t *Transport) addresses(ctx context.Context, host string) ([]string, *hopError) {
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	ips, err := t.opt.Resolver.LookupHost(ctx, host)
	if err == nil && len(ips) > 0 {
		return ips, nil
	}
	if err == nil || notFound(err) {
		return nil, &hopError{true, "5.4.4", "The host " + host + " does not exist"}
	}
	return nil, &hopError{false, "4.4.3", "Name server: " + err.Error()}
}

func notFound(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}
