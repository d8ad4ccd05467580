package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/store"
)

func storageGroupCmd(g *globals) *cobra.Command {
	return noun("storagegroup", "Storage groups",
		verb("list", "List them with their stores", func([]string) error {
			return call(g, "storagegroup.list", struct{}{}, func(w io.Writer, list *[]admin.StorageGroup) {
				row(w, "STORAGE GROUP", "STORES")
				for _, v := range *list {
					row(w, v.Name, strings.Join(v.Stores, ", "))
				}
			})
		}),
		nameVerb(g, "create", "Create a storage group", "storagegroup.create", "created"),
		nameVerb(g, "delete", "Delete a storage group without stores", "storagegroup.delete", "deleted"))
}

func storeCmd(g *globals) *cobra.Command {
	list := verb("list", "List the stores, their state and their last maintenance", func([]string) error {
		return call(g, "store.list", struct{}{}, func(w io.Writer, list *[]attendant.Status) {
			showStores(w, list)
			showMaintenance(w, list)
		})
	})
	list.Aliases = []string{"status"}
	return noun("store", "Mailbox stores", list, storeCreateCmd(g), storeDeleteCmd(g), storeMountCmd(g),
		nameVerb(g, "dismount", "Dismount a store", "store.dismount", "is dismounted"),
		storeMaintainCmd(g), storeVerifyCmd(g), storeRepairCmd(g), storeDumpCmd(g))
}

func storeCreateCmd(g *globals) *cobra.Command {
	var n admin.NewStore
	c := verb("create NAME", "Create a mailbox store and mount it", func(a []string) error {
		n.Name = a[0]
		n.Warn, n.Send, n.Hard = n.Warn<<20, n.Send<<20, n.Hard<<20
		return call(g, "store.create", n, said("%s created", a[0]))
	})
	f := c.Flags()
	f.StringVar(&n.Group, "group", "", "storage group; may be left out if there is one only")
	f.Int64Var(&n.Warn, "warn", 0, "MB at which owners are warned; 0: never")
	f.Int64Var(&n.Send, "send", 0, "MB at which sending stops; 0: never")
	f.Int64Var(&n.Hard, "hard", 0, "MB at which receiving stops; 0: never")
	f.IntVar(&n.Items, "keep-items", 7, "days that deleted items are kept")
	f.IntVar(&n.Mailboxes, "keep-mailboxes", 30, "days that deleted mailboxes are kept")
	f.BoolVar(&n.UntilBackup, "keep-until-backup", false, "keep deleted items until they are in a backup")
	return c
}

func storeDeleteCmd(g *globals) *cobra.Command {
	var d admin.DeleteStore
	c := verb("delete NAME", "Delete a store that no mailboxes are in; its database stays", func(a []string) error {
		d.Name = a[0]
		return call(g, "store.delete", d, func(w io.Writer, out *admin.Deleted) {
			fmt.Fprintf(w, "%s deleted\n", d.Name)
			if out.Files != "" {
				fmt.Fprintf(w, "Its files are still in %s.\n", out.Files)
			}
		})
	})
	c.Flags().BoolVar(&d.Purge, "purge", false, "delete its database too, for good")
	return c
}

func storeMountCmd(g *globals) *cobra.Command {
	var m admin.MountStore
	c := verb("mount NAME", "Mount a store", func(a []string) error {
		m.Name = a[0]
		return call(g, "store.mount", m, said("%s is mounted", a[0]))
	})
	c.Flags().BoolVar(&m.CreateEmpty, "create-empty", false, "begin an empty database if the one there was is lost")
	return c
}

func storeMaintainCmd(g *globals) *cobra.Command {
	return &cobra.Command{Use: "maintain NAME", Short: "Maintain a store now, not at the scheduled time", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runJob(cmd.Context(), g, "store.maintain", admin.Name{Name: args[0]}, func(w *tabwriter.Writer, m *store.Maintenance) error {
				fmt.Fprintf(w, "%s: %s\n", args[0], maintained(m))
				return nil
			})
		}}
}

func showMaintenance(w io.Writer, list *[]attendant.Status) {
	for _, s := range *list {
		m := s.Maintenance
		if m == nil {
			continue
		}
		when := "begun " + m.Began.Local().Format("2006-01-02 15:04") + ", not completed"
		if !m.Ended.IsZero() {
			when = m.Ended.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%s was maintained: %s: %s\n", s.Name, when, maintained(m))
	}
}

func maintained(m *store.Maintenance) string {
	return fmt.Sprintf("%d mailboxes, %d items expired, %d deleted items dropped, %d contents (%s), %d log rows, %d permissions of deleted accounts",
		m.Mailboxes, m.Expired, m.Items, m.Contents, size(int64(m.Octets)), m.Changes, m.Accounts)
}
