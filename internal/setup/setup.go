// Package setup brings a directory to the state in which servers can run:
// ForestPrep, DomainPrep and the installation of a server, as steps that look
// before they write. Every step may be interrupted and run again; what an
// administrator has set meanwhile stays as it is.
package setup

import (
	"context"
	"io"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
)

// Plan is what a run of Setup shall do. The three parts run in this order.
type Plan struct {
	ForestPrep bool
	DomainPrep bool
	Install    bool // a server, and the organization if it is the first

	Principal         directory.Principal // on whose behalf; zero: the system
	FullAdministrator string              // ForestPrep: account or group, by DN or account name; "": Domain Admins

	Organization string         // Install, first server: its name
	AdminGroup   string         // "": the default one
	Server       string         // NetBIOS name; "": first label of FQDN
	FQDN         string         // "": the directory's host
	SMTPDomain   string         // first server: of the default policy; "": the DNS domain
	DataDir      string         // where databases live, for the record
	Enable       []org.Protocol // POP, IMAP and NNTP are off otherwise

	Log   io.Writer   // progress log; nil: none
	Event func(Event) // application event log; nil: none
	Clock model.Clock
}

// Event is an entry for the application event log.
type Event struct {
	Source string // MSExchangeSetup
	ID     int
	Text   string
}

// Progress says that step N of Total begins (or goes on, with Done of Of).
type Progress struct {
	N, Total int
	Text     string
	Done, Of int // inside the step; Of 0: not known
}

// State is how far a directory is prepared.
type State struct {
	SchemaVersion int    // rangeUpper of the marker, 0: not extended
	Forest        bool   // ForestPrep has run
	Domain        bool   // DomainPrep has run
	Organization  string // "" until the first server is installed
	Servers       []string
}

// Run does what the plan says. KindInvalid: a name is not allowed; KindPermission:
// rights are missing; KindConflict: a prerequisite is not met.
func Run(ctx context.Context, d directory.Directory, plan Plan, progress func(Progress)) error {
	return model.E("setup.run", model.KindUnsupported, "", nil)
}

// Installed looks how far a directory is prepared.
func Installed(ctx context.Context, d directory.Directory) (State, error) {
	return State{}, model.E("setup.installed", model.KindUnsupported, "", nil)
}

// EnableProtocol turns the virtual servers of a protocol on or off.
func EnableProtocol(ctx context.Context, d directory.Directory, p directory.Principal, server string, proto org.Protocol, on bool) error {
	return model.E("setup.protocol", model.KindUnsupported, "", nil)
}
