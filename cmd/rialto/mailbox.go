package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
	"rialto/internal/attendant"
)

// oofVerb shows or changes the out-of-office state.
func oofVerb(g *globals) *cobra.Command {
	var on, off bool
	var internal, external, audience, start, end string
	c := verb("oof NAME", "Show or change whether the owner is out of office", nil)
	f := c.Flags()
	f.BoolVar(&on, "on", false, "the owner is away")
	f.BoolVar(&off, "off", false, "the owner is back")
	f.StringVar(&internal, "internal", "", "answer to senders of the organization")
	f.StringVar(&external, "external", "", "answer to others")
	f.StringVar(&audience, "audience", "", "which others: none, known or all")
	f.StringVar(&start, "start", "", "beginning, as 2026-12-24T12:00:00Z")
	f.StringVar(&end, "end", "", "end, as 2027-01-02T08:00:00Z")
	c.MarkFlagsMutuallyExclusive("on", "off")
	c.RunE = func(_ *cobra.Command, a []string) error {
		in := admin.OutOfOffice{Name: a[0]}
		if on || off {
			in.On = &on
		}
		for name, v := range map[string]struct {
			from *string
			to   **string
		}{"internal": {&internal, &in.Internal}, "external": {&external, &in.External}, "audience": {&audience, &in.Audience}} {
			if f.Changed(name) {
				*v.to = v.from
			}
		}
		for name, v := range map[string]struct {
			from string
			to   **time.Time
		}{"start": {start, &in.Start}, "end": {end, &in.End}} {
			if !f.Changed(name) {
				continue
			}
			t, err := time.Parse(time.RFC3339, v.from)
			if err != nil && v.from != "" {
				return fmt.Errorf("--%s %s is no time", name, v.from)
			}
			*v.to = &t
		}
		return call(g, "mailbox.oof", in, showOOF)
	}
	return c
}

func showOOF(w io.Writer, o *admin.OutOfOffice) {
	state := "in the office"
	if o.On != nil && *o.On {
		state = "out of office"
	}
	row(w, "State:", state)
	if o.Start != nil {
		row(w, "From:", o.Start.Format(time.RFC3339))
	}
	if o.End != nil {
		row(w, "Until:", o.End.Format(time.RFC3339))
	}
	for _, x := range []struct {
		label string
		v     *string
	}{{"Internal:", o.Internal}, {"External:", o.External}, {"Audience:", o.Audience}} {
		if x.v != nil && *x.v != "" {
			row(w, x.label, *x.v)
		}
	}
}

// retentionVerb shows or changes how long folders keep what is in them.
func retentionVerb(g *globals) *cobra.Command {
	var in admin.Retention
	var days, deleted int
	c := verb("retention NAME", "Show or change how long folders keep items and deleted items", nil)
	f := c.Flags()
	f.StringVar(&in.Folder, "folder", "", "the folder to change")
	f.IntVar(&days, "days", 0, "delete items older than so many days; 0: never")
	f.IntVar(&deleted, "deleted-days", 0, "keep deleted items recoverable for so many days; 0: as the mailbox does")
	c.RunE = func(_ *cobra.Command, a []string) error {
		in.Name = a[0]
		if f.Changed("days") {
			in.Days = &days
		}
		if f.Changed("deleted-days") {
			in.DeletedDays = &deleted
		}
		if in.Folder == "" && (in.Days != nil || in.DeletedDays != nil) {
			return errors.New("say which folder to change: --folder NAME")
		}
		return call(g, "mailbox.retention", in, func(w io.Writer, rs *[]admin.FolderRetention) {
			if len(*rs) == 0 {
				fmt.Fprintln(w, "no folder has a retention of its own")
				return
			}
			row(w, "FOLDER", "ITEMS", "DELETED ITEMS")
			for _, r := range *rs {
				row(w, r.Folder, inDays(r.Days, "for ever"), inDays(r.DeletedDays, "as the mailbox"))
			}
		})
	}
	return c
}

func inDays(n int, none string) string {
	if n == 0 {
		return none
	}
	return fmt.Sprint(n, " days")
}

// ruleCmds are the verbs about rules.
func ruleCmds(g *globals) []*cobra.Command {
	var n admin.NewRule
	add := verb("addrule NAME RULE", "Add a rule to an Inbox", func(a []string) error {
		n.Name, n.Rule = a[0], a[1]
		return call(g, "mailbox.addrule", n, func(w io.Writer, r *admin.RuleInfo) { fmt.Fprintf(w, "rule %d is added\n", r.ID) })
	})
	f := add.Flags()
	f.StringVar(&n.From, "from", "", "the sender's address is this")
	f.StringVar(&n.Subject, "subject", "", "the subject contains this")
	f.StringVar(&n.Body, "body", "", "the text contains this")
	f.StringVar(&n.MoveTo, "move", "", "move to the folder of this name")
	f.StringVar(&n.Forward, "forward", "", "forward to this address")
	f.StringVar(&n.Redirect, "redirect", "", "redirect to this address")
	f.BoolVar(&n.MarkRead, "mark-read", false, "mark as read")
	f.BoolVar(&n.Delete, "delete", false, "delete")
	f.BoolVar(&n.Stop, "stop", false, "pass over later rules")
	list := verb("rules NAME", "List the rules of an Inbox", func(a []string) error {
		return call(g, "mailbox.rules", admin.Name{Name: a[0]}, func(w io.Writer, rs *[]admin.RuleInfo) {
			row(w, "ID", "RULE", "STATE")
			for _, r := range *rs {
				state := "enabled"
				if r.Failed {
					state = "failed"
				} else if !r.Enabled {
					state = "disabled"
				}
				row(w, r.ID, dash(r.Name), state)
			}
		})
	})
	remove := verb("removerule NAME ID", "Remove a rule", func(a []string) error {
		id, err := strconv.ParseUint(a[1], 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no id of a rule", a[1])
		}
		return call(g, "mailbox.removerule", admin.RuleID{Name: a[0], ID: id}, said("rule %d of %s is removed", id, a[0]))
	})
	return []*cobra.Command{list, add, remove}
}

// disconnectedCmds are the verbs about mailboxes that belong to nobody.
func disconnectedCmds(g *globals) []*cobra.Command {
	list := verb("disconnected", "List the mailboxes that belong to nobody", func([]string) error {
		return call(g, "mailbox.disconnected", admin.Nothing{}, func(w io.Writer, ds *[]attendant.Disconnected) {
			row(w, "NAME", "GUID", "STORE", "SIZE", "KEPT UNTIL")
			for _, d := range *ds {
				row(w, d.Name, d.GUID, d.Store, size(d.Size), d.Until.Format(time.DateOnly))
			}
		})
	})
	var in admin.Reconnect
	reconnect := verb("reconnect GUID USER", "Give a disconnected mailbox to an account without one", func(a []string) error {
		in.Mailbox, in.User = a[0], a[1]
		return call(g, "mailbox.reconnect", in, showRecipient)
	})
	reconnect.Flags().StringVar(&in.Alias, "alias", "", "alias; the account name if not given")
	warn := verb("warn", "Warn the owners of mailboxes over a limit now", func([]string) error {
		return call(g, "mailbox.warn", admin.Nothing{}, func(w io.Writer, n *admin.Warned) { fmt.Fprintf(w, "%d warned\n", n.Sent) })
	})
	var cl admin.Clean
	clean := verb("clean NAME", "Move or delete what is old or large in a mailbox", func(a []string) error {
		cl.Name = a[0]
		return call(g, "mailbox.clean", cl, func(w io.Writer, done *[]attendant.Cleaned) {
			row(w, "FOLDER", "ITEMS", "SIZE")
			for _, d := range *done {
				row(w, d.Folder, d.Items, size(d.Size))
			}
		})
	})
	f := clean.Flags()
	f.StringVar(&cl.Action, "action", "report", "report, deleted (move to Deleted Items), system (move to System Cleanup) or delete")
	f.StringVar(&cl.Folder, "folder", "", "only the folder of this name")
	f.IntVar(&cl.Days, "days", 0, "older than so many days")
	f.Int64Var(&cl.Size, "size", 0, "and larger than so many octets")
	f.BoolVar(&cl.Notify, "notify", false, "tell the owner")
	return []*cobra.Command{list, reconnect, clean, nameVerb(g, "purge", "Delete a disconnected mailbox, named by its GUID, for good", "mailbox.purge", "is deleted"), warn}
}
