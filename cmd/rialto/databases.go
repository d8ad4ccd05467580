package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/store"
	"rialto/internal/store/backup"
)

// maybe makes a command with at most one argument.
func maybe(use, short string, run func(cmd *cobra.Command, arg string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return run(cmd, "")
		}
		return run(cmd, args[0])
	}}
}

func storeVerifyCmd(g *globals) *cobra.Command {
	var q admin.VerifyStore
	var from string
	c := maybe("verify [STORE]", "Check every invariant of a store, or of all; exit status 1 if there are problems", func(cmd *cobra.Command, name string) error {
		var err error
		if q.From, err = base64.StdEncoding.DecodeString(from); err != nil {
			return fmt.Errorf("--from: %w", err)
		}
		op, done, err := g.operator(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		names := []string{name}
		if name == "" {
			var list []attendant.Status
			if err := op.Call("store.list", struct{}{}, &list); err != nil {
				return err
			}
			names = nil
			for _, s := range list {
				names = append(names, s.Name)
			}
		}
		problems := 0
		for _, n := range names {
			q.Store = n
			err := follow(cmd.Context(), g, op, "store.verify", q, func(w *tabwriter.Writer, v *store.Verified) error {
				problems += len(v.Problems)
				showVerified(w, n, v)
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: %w", n, err)
			}
		}
		if problems > 0 {
			return errWarnings
		}
		return nil
	})
	f := c.Flags()
	f.BoolVar(&q.Deep, "deep", false, "read all content and compare its hashes")
	f.StringVar(&q.Mailbox, "mailbox", "", "only this mailbox")
	f.BoolVar(&q.Fast, "fast", false, "do not leave half the time to others")
	f.StringVar(&from, "from", "", "go on where a check was stopped")
	return c
}

func showVerified(w *tabwriter.Writer, name string, v *store.Verified) {
	fmt.Fprintf(w, "%s: %d rows, %d mailboxes, %d folders, %d items, %d contents, %d problems\n",
		name, v.Rows, v.Mailboxes, v.Folders, v.Items, v.Contents, len(v.Problems))
	for _, p := range v.Problems {
		fmt.Fprintln(w, "  "+p)
	}
	if v.Next != nil {
		fmt.Fprintf(w, "  stopped; go on with --from %s\n", base64.StdEncoding.EncodeToString(v.Next))
	}
}

func storeRepairCmd(g *globals) *cobra.Command {
	return &cobra.Command{Use: "repair STORE", Short: "Make a damaged, dismounted store whole; exit status 1 if something is lost", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lost := false
			err := runJob(cmd.Context(), g, "store.repair", admin.Name{Name: args[0]}, func(w *tabwriter.Writer, r *attendant.RepairReport) error {
				lost = len(r.Losses)+len(r.Problems) > 0
				showRepaired(w, r)
				return nil
			})
			if err == nil && lost {
				err = errWarnings
			}
			return err
		}}
}

func storeDumpCmd(g *globals) *cobra.Command {
	var q admin.DumpStore
	var key string
	c := maybe("dump [STORE]", "Print rows of a store as they are on the disk", func(cmd *cobra.Command, name string) (err error) {
		q.Store = name
		if q.Prefix, err = hex.DecodeString(key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
		op, done, err := g.operator(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		for rest := q.Limit; rest > 0; {
			q.Limit = min(rest, 1000)
			var d store.Dumped
			if err := op.Call("store.dump", q, &d); err != nil {
				return err
			}
			for _, r := range d.Rows {
				if g.json {
					b, err := json.Marshal(r)
					if err != nil {
						return err
					}
					fmt.Println(string(b))
				} else {
					fmt.Printf("%s  %s\n    %s\n", r.Key, r.Space, r.Value)
				}
			}
			if rest -= len(d.Rows); d.Next == nil {
				break
			}
			q.From = d.Next
		}
		return nil
	})
	f := c.Flags()
	f.StringVar(&q.Mailbox, "mailbox", "", "only this mailbox")
	f.Uint64Var(&q.Folder, "folder", 0, "only the folder with this id, with --mailbox")
	f.Uint64Var(&q.Item, "item", 0, "only the item with this OID, with --mailbox")
	f.StringVar(&key, "key", "", "only keys that begin so, in hexadecimal")
	f.IntVar(&q.Limit, "limit", 1000, "most rows")
	f.BoolVar(&q.Full, "full", false, "whole values")
	f.BoolVar(&q.Content, "content", false, "octets of content too")
	return c
}

func showRepaired(w *tabwriter.Writer, r *attendant.RepairReport) {
	for _, d := range r.Damage {
		fmt.Fprintln(w, "damaged: "+d)
	}
	if r.Guessed {
		fmt.Fprintln(w, "The list of files in use is lost: what was deleted may be back.")
	}
	row(w, "LOST", "MAILBOX", "FOLDER", "SUBJECT", "FROM", "DATE")
	for _, l := range r.Losses {
		at := ""
		if !l.Date.IsZero() {
			at = l.Date.Local().Format("2006-01-02 15:04")
		}
		row(w, l.What, l.Mailbox, l.Folder, l.Subject, l.From, at)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "still: "+p)
	}
	fmt.Fprintf(w, "%d rows read; %d mailboxes were damaged, with %d items, %d of them in \"%s\"; %d losses\n",
		r.Rows, r.Mailboxes, r.Items, r.Recovered, store.RecoveredItems, len(r.Losses))
	if r.Former != "" {
		fmt.Fprintf(w, "What is damaged is kept in %s.\n", r.Former)
	}
}

func backupCmd(g *globals) *cobra.Command {
	write := func(use, short, op string) *cobra.Command {
		var target string
		c := maybe(use+" [STORE]", short, func(cmd *cobra.Command, name string) (err error) {
			b := admin.Backup{Store: name}
			if b.Target, err = filepath.Abs(target); err != nil {
				return err
			}
			return runJob(cmd.Context(), g, op, b, func(w *tabwriter.Writer, b *admin.BackupInfo) error {
				if b.Path != "" {
					fmt.Fprintf(w, "%s: %s in %d files, %s written\n", b.Path, size(b.Bytes), b.Files, size(b.Written))
				}
				return nil
			})
		})
		c.Flags().StringVar(&target, "to", "backup", "directory of the backups, on the server")
		return c
	}
	list := verb("list DIRECTORY", "List the backups in a directory", func(args []string) error {
		p, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return call(g, "backup.list", admin.Place{Path: p}, showBackups)
	})
	check := &cobra.Command{Use: "verify BACKUP", Short: "Read a backup and compare its hashes", Args: cobra.ExactArgs(1)}
	check.RunE = func(cmd *cobra.Command, args []string) error {
		return fromBackup(cmd, g, "backup.verify", args[0], func(w *tabwriter.Writer, b *admin.BackupInfo) error {
			fmt.Fprintf(w, "%s: %s in %d files\n", b.Path, size(b.Bytes), b.Files)
			return nil
		})
	}
	return noun("backup", "Backups of stores", write("full", "Write a full backup of a store while it is in use", "backup.full"),
		write("incremental", "Write what changed since the last backup", "backup.incremental"), list, check)
}

func fromBackup[Out any](cmd *cobra.Command, g *globals, op, path string, show func(*tabwriter.Writer, *Out) error) error {
	p, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return runJob(cmd.Context(), g, op, admin.Place{Path: p}, show)
}

func restoreCmd(g *globals) *cobra.Command {
	var from string
	var recovery bool
	c := &cobra.Command{Use: "restore", Short: "Bring a dismounted store back from a backup, or a copy of it beside it", Args: cobra.NoArgs}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if recovery {
			return fromBackup(cmd, g, "recovery.restore", from, func(w *tabwriter.Writer, _ *struct{}) error {
				fmt.Fprintln(w, "The copy is in the recovery storage group: see \"rialto recovery list\".")
				return nil
			})
		}
		return fromBackup(cmd, g, "restore", from, func(w *tabwriter.Writer, r *admin.Restored) error {
			if r.Former != "" {
				fmt.Fprintf(w, "What the store held is in %s.\n", r.Former)
			}
			return nil
		})
	}
	c.Flags().StringVar(&from, "from", "", "the backup: its .json file, or a directory with backups of one store, for the newest")
	c.Flags().BoolVar(&recovery, "recovery", false, "into the recovery storage group, beside the live store")
	_ = c.MarkFlagRequired("from") // it is there
	return c
}

func recoveryCmd(g *globals) *cobra.Command {
	list := verb("list", "List the mailboxes in the recovery storage group", func([]string) error {
		return call(g, "recovery.list", struct{}{}, showRecovery)
	})
	copies := func(use, short string, args int) *cobra.Command {
		var apart bool
		c := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args)}
		c.RunE = func(cmd *cobra.Command, args []string) error {
			q := admin.RecoveryCopy{Mailbox: args[0]}
			if len(args) > 1 {
				q.Folder = args[1]
			}
			if apart {
				q.Into = "*"
			}
			return runJob(cmd.Context(), g, "recovery.copy", q, func(w *tabwriter.Writer, m *backup.Merged) error {
				fmt.Fprintf(w, "%d items copied, %d were there, %d folders made\n", m.Copied, m.There, m.Folders)
				if m.Damaged > 0 {
					fmt.Fprintf(w, "%d items of the backup are damaged and were passed over\n", m.Damaged)
				}
				return nil
			})
		}
		c.Flags().BoolVar(&apart, "apart", false, "into the folder \"Recovered Data\" with the date, not where it was")
		return c
	}
	return noun("recovery", "The recovery storage group", list,
		copies("copy-mailbox MAILBOX", "Merge a mailbox of the recovery storage group into the live one", 1),
		copies("copy-folder MAILBOX FOLDER", "Merge a folder, with those below it", 2))
}
