package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
)

func showPage(w io.Writer, p *admin.Page) {
	if len(p.Items) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	row(w, "NAME", "ACCOUNT", "ADDRESS", "KIND", "STORE")
	for _, r := range p.Items {
		name := r.Name
		if r.Disabled {
			name += " (disabled)"
		}
		row(w, name, dash(r.Account), dash(r.Address), r.Kind, dash(r.Store))
	}
	if p.Next != "" {
		fmt.Fprintf(w, "more: --after %s\n", p.Next)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func showRecipient(w io.Writer, r *admin.Recipient) {
	row(w, "Name:", r.Name)
	row(w, "Kind:", r.Kind)
	for _, f := range []struct{ label, value string }{{"Account:", r.Account}, {"Alias:", r.Alias}, {"Addresses:", strings.Join(r.Addresses, ", ")},
		{"Target:", r.Target}, {"Store:", r.Store}} {
		if f.value != "" {
			row(w, f.label, f.value)
		}
	}
	if r.Disabled {
		row(w, "Sign-in:", "disabled")
	}
	row(w, "DN:", r.DN)
	row(w, "GUID:", r.GUID)
}

// listVerb lists objects of a kind.
func listVerb(g *globals, op string) *cobra.Command {
	var q admin.Query
	c := verb("list", "List them", func([]string) error { return call(g, op, q, showPage) })
	c.Flags().StringVar(&q.Match, "match", "", "beginning of a name, alias or address")
	c.Flags().IntVar(&q.Limit, "limit", 0, "most to list")
	c.Flags().StringVar(&q.After, "after", "", "where the page before ended")
	return c
}

func showVerb(g *globals, op string) *cobra.Command {
	return verb("show NAME", "Show one", func(a []string) error { return call(g, op, admin.Name{Name: a[0]}, showRecipient) })
}

// nameVerb runs an operation on one name and says what was done.
func nameVerb(g *globals, use, short, op, done string) *cobra.Command {
	return verb(use+" NAME", short, func(a []string) error {
		return call(g, op, admin.Name{Name: a[0]}, said("%s %s", a[0], done))
	})
}

func userCmd(g *globals) *cobra.Command {
	var n admin.NewUser
	create := verb("create NAME", "Create an account with a mailbox; the password comes from RIALTO_PASSWORD or standard input", func(a []string) error {
		pw, err := password()
		if err != nil {
			return err
		}
		n.Account, n.Password = a[0], pw
		return call(g, "user.create", n, showRecipient)
	})
	f := create.Flags()
	f.StringVar(&n.DisplayName, "display-name", "", "name that lists show")
	f.StringVar(&n.GivenName, "given-name", "", "given name")
	f.StringVar(&n.Surname, "surname", "", "surname")
	f.StringVar(&n.Alias, "alias", "", "alias; the account name if not given")
	f.BoolVar(&n.NoMailbox, "no-mailbox", false, "account only")
	f.StringVar(&n.Store, "store", "", "mailbox store; the first of the server if not given")
	pass := verb("password NAME", "Set a password, from RIALTO_PASSWORD or standard input", func(a []string) error {
		pw, err := password()
		if err != nil {
			return err
		}
		return call(g, "user.password", admin.Password{Name: a[0], Password: pw}, said("%s has a new password", a[0]))
	})
	return noun("user", "Accounts", create, listVerb(g, "user.list"), showVerb(g, "user.show"),
		nameVerb(g, "delete", "Delete an account", "user.delete", "deleted"), pass,
		nameVerb(g, "enable", "Let an account sign in again", "user.enable", "may sign in"),
		nameVerb(g, "disable", "Keep an account from signing in", "user.disable", "may not sign in"))
}

func contactCmd(g *globals) *cobra.Command {
	var n admin.NewContact
	create := verb("create NAME ADDRESS", "Create a contact", func(a []string) error {
		n.Name, n.Target = a[0], a[1]
		return call(g, "contact.create", n, showRecipient)
	})
	create.Flags().StringVar(&n.Alias, "alias", "", "alias")
	return noun("contact", "Addresses outside that lists show", create, listVerb(g, "contact.list"), showVerb(g, "contact.show"),
		nameVerb(g, "delete", "Delete a contact", "contact.delete", "deleted"))
}

func groupCmd(g *globals) *cobra.Command {
	var n admin.NewGroup
	create := &cobra.Command{Use: "create NAME [MEMBER…]", Short: "Create a distribution group", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			n.Name, n.Members = a[0], a[1:]
			return call(g, "group.create", n, showRecipient)
		}}
	create.Flags().StringVar(&n.Alias, "alias", "", "alias; the name if not given")
	create.Flags().BoolVar(&n.Security, "security", false, "make it a security group")
	change := func(use, short, op, done string) *cobra.Command {
		return &cobra.Command{Use: use + " NAME MEMBER…", Short: short, Args: cobra.MinimumNArgs(2), RunE: func(_ *cobra.Command, a []string) error {
			return call(g, op, admin.Members{Name: a[0], Members: a[1:]}, said("%s: %s %s", a[0], strings.Join(a[1:], ", "), done))
		}}
	}
	members := verb("members NAME", "List the members", func(a []string) error { return call(g, "group.members", admin.Name{Name: a[0]}, showPage) })
	return noun("group", "Distribution groups", create, listVerb(g, "group.list"), showVerb(g, "group.show"), members,
		change("add", "Add members", "group.add", "added"), change("remove", "Remove members", "group.remove", "removed"),
		nameVerb(g, "delete", "Delete a group", "group.delete", "deleted"))
}

func mailboxCmd(g *globals) *cobra.Command {
	show := verb("show NAME", "Show a mailbox and what it holds", func(a []string) error {
		return call(g, "mailbox.show", admin.Name{Name: a[0]}, func(w io.Writer, m *admin.MailboxInfo) {
			showRecipient(w, &m.Recipient)
			row(w, "Items:", fmt.Sprintf("%d, %d unread, %s", m.Items, m.Unread, size(m.Size)))
			row(w, "Recoverable:", m.Deleted)
			fmt.Fprintln(w)
			row(w, "FOLDER", "ITEMS", "UNREAD", "SIZE")
			for _, f := range m.Folders {
				row(w, f.Name, f.Items, f.Unread, size(f.Size))
			}
		})
	})
	var e admin.EnableMailbox
	enable := verb("enable NAME", "Give an account a mailbox", func(a []string) error {
		e.Name = a[0]
		return call(g, "mailbox.enable", e, showRecipient)
	})
	enable.Flags().StringVar(&e.Alias, "alias", "", "alias; the account name if not given")
	enable.Flags().StringVar(&e.Store, "store", "", "mailbox store; the first of the server if not given")
	verify := verb("verify NAME", "Check every invariant of a mailbox", func(a []string) error {
		var bad bool
		err := call(g, "mailbox.verify", admin.Name{Name: a[0]}, func(w io.Writer, v *verified) {
			bad = len(v.Problems) > 0
			fmt.Fprintf(w, "%d items in %d folders, %d problems\n", v.Items, v.Folders, len(v.Problems))
			for _, p := range v.Problems {
				fmt.Fprintln(w, p)
			}
		})
		if err == nil && bad {
			err = errWarnings
		}
		return err
	})
	c := noun("mailbox", "Mailboxes", listVerb(g, "mailbox.list"), show, enable,
		nameVerb(g, "disable", "Take an account's mailbox away", "mailbox.disable", "has no mailbox any more"), limitsVerb(g), verify, oofVerb(g), retentionVerb(g))
	c.AddCommand(ruleCmds(g)...)
	c.AddCommand(disconnectedCmds(g)...)
	return c
}

// verified is store.Verified as JSON has it.
type verified struct {
	Items, Folders int
	Problems       []string
}

func limitsVerb(g *globals) *cobra.Command {
	var warn, send, hard int64
	var defaults bool
	c := &cobra.Command{Use: "limits NAME", Short: "Set the limits of a mailbox, in MB; negative removes one", Args: cobra.ExactArgs(1)}
	f := c.Flags()
	f.Int64Var(&warn, "warn", 0, "MB at which a warning is sent")
	f.Int64Var(&send, "send", 0, "MB at which sending stops")
	f.Int64Var(&hard, "hard", 0, "MB at which receiving stops")
	f.BoolVar(&defaults, "use-defaults", false, "use the store's limits")
	c.RunE = func(_ *cobra.Command, a []string) error {
		l := admin.Limits{Name: a[0]}
		for _, x := range []struct {
			flag string
			v    *int64
			to   **int64
		}{{"warn", &warn, &l.Warn}, {"send", &send, &l.Send}, {"hard", &hard, &l.Hard}} {
			if f.Changed(x.flag) {
				n := *x.v << 20
				*x.to = &n
			}
		}
		own := l.Warn != nil || l.Send != nil || l.Hard != nil
		if own || f.Changed("use-defaults") {
			d := defaults && !own
			l.UseDefaults = &d
		}
		return call(g, "mailbox.limits", l, said("%s has new limits", a[0]))
	}
	return c
}
