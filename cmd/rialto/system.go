package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/service"
)

func statusCmd(g *globals) *cobra.Command {
	return verb("status", "Show how the server is", func([]string) error {
		var trouble bool
		err := call(g, "status", struct{}{}, func(w io.Writer, s *admin.Status) {
			row(w, "Organization:", s.Organization)
			row(w, "Server:", fmt.Sprintf("%s, version %s, up %s", s.Server, s.Version, s.Uptime))
			row(w, "Domains:", strings.Join(s.Domains, ", "))
			row(w, "Queued:", fmt.Sprintf("%d messages", s.Queued))
			fmt.Fprintln(w)
			showServices(w, &s.Services)
			fmt.Fprintln(w)
			showStores(w, &s.Stores)
			for _, st := range s.Stores {
				trouble = trouble || st.State == attendant.Failed
			}
			for _, sv := range s.Services {
				trouble = trouble || sv.Error != ""
			}
		})
		if err == nil && trouble {
			err = errWarnings
		}
		return err
	})
}

func showServices(w io.Writer, list *[]admin.ServiceStatus) {
	row(w, "SERVICE", "PROTOCOL", "STATE", "SESSIONS", "ADDRESSES")
	for _, s := range *list {
		row(w, s.Name, s.Protocol, s.State, s.Sessions, strings.Join(s.Address, " "))
		if s.Error != "" {
			fmt.Fprintln(w, "  "+s.Error)
		}
	}
}

func showStores(w io.Writer, list *[]attendant.Status) {
	row(w, "STORE", "STORAGE GROUP", "STATE", "MAILBOXES", "USED", "FREE")
	for _, s := range *list {
		row(w, s.Name, s.Group, s.State, s.Boxes, size(int64(s.Used)), size(int64(s.Free)))
		if s.Error != "" {
			fmt.Fprintln(w, "  "+s.Error)
		}
	}
}

func serviceCmd(g *globals) *cobra.Command {
	return noun("service", "Virtual servers, by name or protocol",
		verb("list", "List them", func([]string) error { return call(g, "service.list", struct{}{}, showServices) }),
		nameVerb(g, "start", "Start or resume one", "service.start", "runs"),
		nameVerb(g, "stop", "Stop one; its sessions are told to end", "service.stop", "is stopped"),
		nameVerb(g, "pause", "Refuse new sessions", "service.pause", "is paused"))
}

func jobCmd(g *globals) *cobra.Command {
	list := verb("list", "List the jobs of the server", func([]string) error { return call(g, "job.list", struct{}{}, showJobs) })
	cancel := verb("cancel JOB", "Cancel a job", func(args []string) error {
		return call(g, "job.cancel", admin.JobQuery{ID: args[0]}, said("Job %s is told to end.", args[0]))
	})
	return noun("job", "Work that takes long", list, cancel)
}

func eventCmd(g *globals) *cobra.Command {
	var q admin.EventQuery
	list := verb("list", "List the newest events", func([]string) error {
		return call(g, "event.list", q, func(w io.Writer, es *[]service.Event) {
			for _, e := range *es {
				row(w, e.Time.Local().Format("2006-01-02 15:04:05"), e.Level, e.Source, e.ID, e.Message)
			}
		})
	})
	list.Flags().IntVar(&q.Count, "count", 50, "how many")
	list.Flags().StringVar(&q.Source, "source", "", "only of this source")
	return noun("event", "The event log", list)
}
