package admin

import (
	"context"
	"time"

	"rialto/internal/attendant"
	"rialto/internal/org"
)

// Clean runs the mailbox manager on one mailbox.
type Clean struct {
	Name   string `json:"name"`
	Action string `json:"action"`           // report, deleted, system or delete
	Folder string `json:"folder,omitempty"` // "": all
	Days   int    `json:"days,omitempty"`   // items older than that
	Size   int64  `json:"size,omitempty"`   // and larger than that, in octets
	Notify bool   `json:"notify,omitempty"` // tell the owner
}

// CleanMailbox runs the mailbox manager now; it ends early when the caller goes.
func (a *Admin) CleanMailbox(ctx context.Context, c Caller, in Clean) ([]attendant.Cleaned, error) {
	const op = "mailbox.clean"
	r, err := a.find(ctx, c, op, in.Name, org.Mailbox)
	out := []attendant.Cleaned{}
	if err == nil {
		var done []attendant.Cleaned
		limit := attendant.FolderLimit{Folder: in.Folder, Age: time.Duration(in.Days) * day, Size: in.Size}
		done, err = a.Stores.CleanUp(ctx, r, &attendant.Cleanup{Action: attendant.CleanupAction(in.Action), Folders: []attendant.FolderLimit{limit}, Notify: in.Notify})
		out = append(out, done...)
	}
	return out, a.audit(ctx, c, op, in.Name, err)
}
