package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
)

func queueCmd(g *globals) *cobra.Command {
	list := verb("list", "List the queues that hold messages", func([]string) error {
		return call(g, "queue.list", struct{}{}, func(w io.Writer, qs *[]admin.Queue) {
			if len(*qs) == 0 {
				fmt.Fprintln(w, "all queues are empty")
				return
			}
			row(w, "QUEUE", "STATE", "MESSAGES", "SIZE", "OLDEST", "NEXT TRY", "LAST ERROR")
			for _, q := range *qs {
				row(w, q.Name, q.State, q.Messages, size(q.Bytes), ago(q.Oldest), at(q.NextTry), dash(q.LastError))
			}
		})
	})
	show := &cobra.Command{Use: "show [QUEUE|ID]", Short: "List the messages of a queue, or show one", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			n := admin.Name{}
			if len(a) > 0 {
				n.Name = a[0]
			}
			return call(g, "queue.show", n, showMessages)
		}}
	retry := &cobra.Command{Use: "retry [QUEUE|ID]", Short: "Try again now", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			n, what := admin.Name{}, "everything"
			if len(a) > 0 {
				n.Name, what = a[0], a[0]
			}
			return call(g, "queue.retry", n, said("%s is tried again now", what))
		}}
	var r admin.RemoveQueued
	remove := verb("remove ID", "Take a message out of the queue", func(a []string) error {
		r.ID = a[0]
		return call(g, "queue.remove", r, said("%s is removed", a[0]))
	})
	remove.Flags().BoolVar(&r.Report, "report", false, "return it to its sender")
	return noun("queue", "Mail waiting to be delivered or relayed", list, show, retry, remove)
}

func showMessages(w io.Writer, ms *[]admin.QueuedMessage) {
	if len(*ms) == 1 && (*ms)[0].Recipients != nil {
		m := (*ms)[0]
		row(w, "Id:", m.ID)
		row(w, "From:", m.From)
		row(w, "Subject:", dash(m.Subject))
		row(w, "Accepted:", m.Accepted.Local().Format(time.DateTime))
		row(w, "Size:", size(m.Size))
		fmt.Fprintln(w)
		row(w, "RECIPIENT", "STATE", "STATUS", "ANSWER")
		for _, r := range m.Recipients {
			row(w, r.Address, r.State, dash(r.Status), dash(r.Answer))
		}
		return
	}
	if len(*ms) == 0 {
		fmt.Fprintln(w, "no messages")
		return
	}
	row(w, "ID", "QUEUE", "FROM", "SIZE", "AGE", "TRIES", "NEXT TRY")
	for _, m := range *ms {
		row(w, m.ID, m.Queue, m.From, size(m.Size), ago(&m.Accepted), m.Attempts, at(m.NextTry))
	}
}

func ago(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return time.Since(*t).Round(time.Second).String()
}

func at(t *time.Time) string {
	if t == nil {
		return "now"
	}
	return t.Local().Format("15:04:05")
}
