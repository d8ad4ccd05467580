package main

import (
	"io"

	"rialto/internal/admin"
)

func showBackups(w io.Writer, list *[]admin.BackupInfo) {
	row(w, "TIME", "STORE", "KIND", "SIZE", "WRITTEN", "PATH")
	for _, b := range *list {
		kind := "full"
		if b.Incremental {
			kind = "incremental"
		}
		row(w, b.Time.Local().Format("2006-01-02 15:04:05"), b.Store, kind, size(b.Bytes), size(b.Written), b.Path)
	}
}

func showRecovery(w io.Writer, list *[]admin.RecoveryBox) {
	row(w, "MAILBOX", "NAME", "STORE", "ITEMS", "SIZE")
	for _, b := range *list {
		row(w, b.Mailbox, b.Name, b.Store, b.Items, size(b.Size))
	}
}

func showJobs(w io.Writer, list *[]admin.Job) {
	row(w, "JOB", "KIND", "OBJECT", "STATE", "DONE", "TOTAL", "BY", "ERROR")
	for _, j := range *list {
		row(w, j.ID, j.Kind, j.Object, j.State, j.Done, j.Total, j.By, j.Error)
	}
}
