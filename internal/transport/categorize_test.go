package transport

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/org/orgtest"
	"rialto/internal/wire/smtp"
)

var update = flag.Bool("update", false, "write the outcomes into the tables")

// guidOf gives names stable GUIDs.
func guidOf(name string) (g model.GUID) {
	copy(g[:], name)
	return g
}

// parseObject reads a line of the table that makes a recipient.
func parseObject(dir *orgtest.Static, kind string, words []string) {
	o := &org.Recipient{GUID: guidOf(words[0]), Name: words[0], Primary: model.Address{Local: words[0], Domain: "own.test"}}
	switch kind {
	case "mailbox":
		o.Kind, o.MailboxGUID, o.StoreGUID = org.Mailbox, guidOf("box-"+words[0]), guidOf("store")
	case "contact":
		o.Kind = org.Contact
	case "group":
		o.Kind, o.ReportToSender = org.Group, true
	case "folder":
		o.Kind = org.PublicFolder
	}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "forward":
			o.ForwardTo = guidOf(v)
		case "keep":
			o.KeepCopy = true
		case "auth":
			o.RequireAuth = true
		case "accept":
			o.AcceptOnly = append(o.AcceptOnly, guidOf(v))
		case "reject":
			o.Reject = append(o.Reject, guidOf(v))
		case "max":
			fmt.Sscan(v, &o.MaxReceive)
		case "target":
			o.Target, _ = model.ParseAddress(v)
		case "owner":
			o.Owner = guidOf(v)
		case "report":
			o.ReportToSender, o.ReportToOwner = v == "sender", v == "owner"
		case "members":
			for m := range strings.SplitSeq(v, ",") {
				dir.Groups[o.GUID] = append(dir.Groups[o.GUID], guidOf(m))
			}
		}
	}
	dir.Add(o)
}

// membersDown fails only the look-up of members.
type membersDown struct{ org.Directory }

func (membersDown) Members(context.Context, model.GUID) ([]*org.Recipient, error) {
	return nil, model.E("test", model.KindUnavailable, "", nil)
}

// outcomes runs one "send" line.
func outcomes(dir *orgtest.Static, cfg *org.Config, words []string) string {
	env := envelope{size: -1}
	var d org.Directory = dir
	var in []Rcpt
	dir.Down = nil
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "from":
			env.sender, env.trusted = guidOf(v), true
		case "system":
			env.trusted = true
		case "size":
			fmt.Sscan(v, &env.size)
		case "down":
			dir.Down = func() bool { return true }
		case "members-down":
			d = membersDown{dir}
		default:
			a, notify, _ := strings.Cut(w, "!")
			args := "TO:<" + a + ">"
			if notify != "" {
				args += " NOTIFY=" + notify
			}
			r, err := smtp.ParseRcpt(args)
			if err != nil {
				panic(err)
			}
			in = append(in, Rcpt{To: r.To, Notify: r.Notify})
		}
	}
	var b strings.Builder
	for _, r := range categorize(context.Background(), d, cfg, env, in, nil) {
		fmt.Fprintf(&b, "\t%s %s", r.To, r.State)
		if !r.Mailbox.IsZero() {
			b.WriteString(" in " + strings.TrimRight(string(r.Mailbox[:]), "\x00"))
		}
		if r.Status != "" {
			b.WriteString(" " + r.Status + " " + r.Diag)
		}
		if r.Notify != 0 {
			b.WriteString(" notify=" + r.Notify.String())
		}
		if !r.Return.IsZero() {
			b.WriteString(" return=" + r.Return.String())
		}
		if r.ORcpt != "" {
			b.WriteString(" for=" + r.ORcpt)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestCategorize(t *testing.T) {
	const file = "testdata/categorize.txt"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := &orgtest.Static{Groups: map[model.GUID][]model.GUID{}}
	cfg := &org.Config{Domains: []org.Domain{{Name: "own.test", Authoritative: true}, {Name: "shared.test"}}}
	var got strings.Builder
	for l := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\n"), "\n") {
		words := strings.Fields(l)
		if strings.HasPrefix(l, "\t") {
			continue
		}
		got.WriteString(l + "\n")
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "send" {
			got.WriteString(outcomes(dir, cfg, words[1:]))
		} else {
			parseObject(dir, words[0], words[1:])
		}
	}
	if *update {
		os.WriteFile(file, []byte(got.String()), 0o644)
		return
	}
	if got.String() != string(raw) {
		t.Errorf("differs from %s:\n%s", file, got.String())
	}
}

// TestCategorizeAgain resolves what was left pending without giving anybody a
// second copy.
func TestCategorizeAgain(t *testing.T) {
	dir := &orgtest.Static{Groups: map[model.GUID][]model.GUID{}}
	cfg := &org.Config{Domains: []org.Domain{{Name: "own.test", Authoritative: true}}}
	parseObject(dir, "mailbox", []string{"alice"})
	parseObject(dir, "mailbox", []string{"bob"})
	parseObject(dir, "group", []string{"staff", "members=alice,bob"})
	in := []Rcpt{{To: model.Address{Local: "staff", Domain: "own.test"}}, {To: model.Address{Local: "alice", Domain: "own.test"}}}
	half := categorize(t.Context(), membersDown{dir}, cfg, envelope{}, in, nil)
	if len(half) != 2 || half[0].State != Pending || half[1].State != Ready {
		t.Fatalf("%+v", half)
	}
	half[1].State = Delivered
	all := categorize(t.Context(), dir, cfg, envelope{}, half, nil)
	if len(all) != 2 || all[0].State != Delivered || all[1].Mailbox != guidOf("box-bob") {
		t.Fatalf("%+v", all)
	}
}

// TestDeepGroups ends whatever the directory holds.
func TestDeepGroups(t *testing.T) {
	dir := &orgtest.Static{Groups: map[model.GUID][]model.GUID{}}
	cfg := &org.Config{Domains: []org.Domain{{Name: "own.test", Authoritative: true}}}
	for i := range 50 {
		parseObject(dir, "group", []string{fmt.Sprint("g", i), fmt.Sprint("members=g", i+1)})
	}
	out := categorize(t.Context(), dir, cfg, envelope{}, []Rcpt{{To: model.Address{Local: "g0", Domain: "own.test"}}}, nil)
	if len(out) != 1 || out[0].Status != "5.4.6" {
		t.Fatalf("%+v", out)
	}
}
