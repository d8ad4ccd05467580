package transport

import (
	"strings"

	"rialto/internal/model"
	"rialto/internal/org"
)

// HopKind is the kind of a next hop.
type HopKind string

// The kinds of next hop, each with a queue per name.
const (
	HopCategorizer HopKind = "categorizer" // to be looked up in the directory; no name
	HopStore       HopKind = "store"       // a database here, by GUID
	HopDomain      HopKind = "domain"      // the mail exchangers of a domain
	HopHost        HopKind = "host"        // one host: a smart host or another server of ours
)

// Hop is where a message goes next.
type Hop struct {
	Kind HopKind
	Name string
}

// String returns kind:name.
func (h Hop) String() string {
	if h.Name == "" {
		return string(h.Kind)
	}
	return string(h.Kind) + ":" + h.Name
}

// route returns the next hop of a recipient that is not final.
func route(cfg *org.Config, r *Rcpt) Hop {
	if r.State == Pending {
		return Hop{Kind: HopCategorizer}
	}
	if !r.Mailbox.IsZero() {
		if host := homeOf(cfg, r.Store); host != "" {
			return Hop{HopHost, host}
		}
		return Hop{HopStore, r.Store.String()}
	}
	if s := outbound(cfg).SmartHost; s != "" {
		return Hop{HopHost, strings.ToLower(s)}
	}
	return Hop{HopDomain, r.To.Domain}
}

// homeOf returns the host name of another server that has the store, "" if it
// is here or not known.
func homeOf(cfg *org.Config, guid model.GUID) string {
	if hasStore(&cfg.Server, guid) {
		return ""
	}
	for i := range cfg.Servers {
		if s := &cfg.Servers[i]; s.GUID != cfg.Server.GUID && hasStore(s, guid) {
			return strings.ToLower(s.FQDN)
		}
	}
	return ""
}

func hasStore(s *org.Server, guid model.GUID) bool {
	for i := range s.StorageGroups {
		for j := range s.StorageGroups[i].Stores {
			if s.StorageGroups[i].Stores[j].GUID == guid {
				return true
			}
		}
	}
	return false
}

// storeOf returns the store object, nil if this server has none of that GUID.
func storeOf(cfg *org.Config, guid model.GUID) *org.Store {
	for i := range cfg.Server.StorageGroups {
		for j := range cfg.Server.StorageGroups[i].Stores {
			if s := &cfg.Server.StorageGroups[i].Stores[j]; s.GUID == guid {
				return s
			}
		}
	}
	return nil
}

// ours returns the domain of the organization called name, nil if it is not
// one of ours.
func ours(cfg *org.Config, name string) *org.Domain {
	for i := range cfg.Domains {
		if strings.EqualFold(cfg.Domains[i].Name, name) {
			return &cfg.Domains[i]
		}
	}
	return nil
}
