package setup

import (
	"context"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// State is how far a directory is prepared.
type State struct {
	SchemaVersion int      // rangeUpper of the marker, 0: not extended
	Forest        bool     // ForestPrep has run to its end
	Domain        bool     // DomainPrep has run to its end
	Organization  string   // "" until the first server has named it
	Servers       []string // installed to the end
}

// Installed looks how far a directory is prepared.
func Installed(ctx context.Context, d directory.Directory) (State, error) {
	var s State
	r := newRun(d, Plan{}, nil)
	if !d.Schema().HasExchange() {
		return s, nil
	}
	e, err := directory.Get(ctx, d, directory.AsSystem, r.schemaMarker(), "rangeUpper")
	if err == nil {
		n, _ := e.Int("rangeUpper")
		s.SchemaVersion = int(n)
	} else if !model.IsKind(err, model.KindNotFound) {
		return s, err
	}
	o, err := organization(ctx, d)
	if err != nil || o == nil {
		return s, err
	}
	if !strings.EqualFold(o.Text("cn"), placeholder) {
		s.Organization = o.Text("cn")
	}
	// The last thing ForestPrep makes.
	if s.Forest, err = r.exists(ctx, child("Message Delivery", child("Global Settings", o.DN))); err != nil {
		return s, err
	}
	e, err = directory.Get(ctx, d, directory.AsSystem, r.systemObjects(), "objectVersion")
	if err == nil {
		n, _ := e.Int("objectVersion")
		s.Domain = n >= systemObjectsVer
	} else if !model.IsKind(err, model.KindNotFound) {
		return s, err
	}
	list, err := servers(ctx, d)
	for _, e := range list {
		if _, ok := e.Int("versionNumber"); ok {
			s.Servers = append(s.Servers, e.Text("cn"))
		}
	}
	return s, err
}
