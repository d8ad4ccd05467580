// Package setup brings a directory to the state in which servers can run:
// ForestPrep, DomainPrep and the installation of a server, as steps that look
// before they write. Every step may be interrupted and run again; what an
// administrator has set meanwhile stays as it is.
//
// The tree is that of an Exchange Server 2003 organization. The directory's
// writer answers for rights on objects by level (doc/decisions/0002), so the
// access control entries of ForestPrep and DomainPrep are not written; who is
// Full Administrator is recorded in msExchAdmins of the organization as
// "FullAdministrator:SID".
package setup

import (
	"context"
	"io"
	"strings"
	"time"

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

	Organization string         // Install, first server: its name; "" where there is one
	AdminGroup   string         // "": First Administrative Group
	Server       string         // NetBIOS name; "": first label of FQDN
	FQDN         string         // "": the directory's host
	SMTPDomain   string         // first server: of the default policy; "": the DNS domain
	DataDir      string         // where databases live, for the record
	Enable       []org.Protocol // POP, IMAP and NNTP are off otherwise

	Log   io.Writer   // progress log; nil: none
	Event func(Event) // application event log; nil: none
	Clock model.Clock // nil: time.Now
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

// Version of what Setup installs, in the attributes that clients and tools read.
const (
	build               = 6944
	serialNumber        = "Version 6.5 (Build 6944.4)"
	organizationVersion = 6903
	systemObjectsVer    = 6936
	placeholder         = "{335A1087-5131-4D45-BE3E-3C6C7F76F5EC}"
)

// step is one thing to do. check stops Setup before anything of the step is
// written; do may be run again at any time.
type step struct {
	class, method string // for the progress log
	text          string // for people
	check         func(context.Context) error
	do            func(context.Context) error
}

// run is one run of Setup.
type run struct {
	dir      directory.Directory
	plan     Plan
	p        directory.Principal
	root     directory.Root
	log      *progressLog
	progress func(Progress)
	now      Progress
}

// Run does what the plan says. progress may be nil. KindInvalid: a name is not
// allowed; KindPermission: rights are missing; KindConflict: something else has
// to be done first; the error's Object says what, for people.
func Run(ctx context.Context, d directory.Directory, plan Plan, progress func(Progress)) error {
	r := newRun(d, plan, progress)
	r.log.banner()
	steps := r.steps()
	for i, s := range steps {
		if err := ctx.Err(); err != nil {
			return model.E("setup.run", model.KindCanceled, s.text, err)
		}
		r.now = Progress{N: i + 1, Total: len(steps), Text: s.text}
		r.progress(r.now)
		if err := r.one(ctx, s); err != nil {
			return err
		}
	}
	text := "Setup [build 6944] completed successfully"
	r.log.line(text)
	if plan.Event != nil {
		plan.Event(Event{Source: "MSExchangeSetup", ID: 1001, Text: text})
	}
	return nil
}

func newRun(d directory.Directory, plan Plan, progress func(Progress)) *run {
	if plan.Clock == nil {
		plan.Clock = time.Now
	}
	if plan.Principal == (directory.Principal{}) {
		plan.Principal = directory.AsSystem
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	r := &run{dir: d, plan: plan, p: plan.Principal, root: d.Root(), progress: progress,
		log: &progressLog{w: plan.Log, clock: plan.Clock}}
	if r.plan.FQDN == "" {
		r.plan.FQDN = r.root.DNSHost
	}
	if r.plan.Server == "" {
		label, _, _ := strings.Cut(r.plan.FQDN, ".")
		r.plan.Server = strings.ToUpper(label[:min(len(label), 15)])
	}
	if r.plan.SMTPDomain == "" {
		r.plan.SMTPDomain = r.root.DNSDomain
	}
	r.plan.SMTPDomain = strings.ToLower(r.plan.SMTPDomain)
	if r.plan.AdminGroup == "" {
		r.plan.AdminGroup = "First Administrative Group"
	}
	return r
}

func (r *run) one(ctx context.Context, s step) error {
	name := s.class + "::" + s.method
	r.log.entering(name)
	defer r.log.leaving(name)
	if s.check != nil {
		if err := s.check(ctx); err != nil {
			r.log.failed(name, err)
			return err
		}
	}
	if s.do == nil {
		return nil
	}
	if err := s.do(ctx); err != nil {
		r.log.failed(name, err)
		return err
	}
	return nil
}

func (r *run) steps() (list []step) {
	if r.plan.ForestPrep {
		list = append(list, r.forestSteps()...)
	}
	if r.plan.DomainPrep {
		list = append(list, r.domainSteps()...)
	}
	if r.plan.Install {
		list = append(list, r.installSteps()...)
	}
	return list
}
