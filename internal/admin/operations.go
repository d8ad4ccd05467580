package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"rialto/internal/model"
)

// Operation is a management operation as an API offers it.
type Operation struct {
	Name string // "user.create"
	Call func(ctx context.Context, c Caller, args []byte) (any, error)
}

// op makes an Operation of a method: one JSON value in, JSON out,
// unknown fields refused.
func op[In, Out any](name string, f func(context.Context, Caller, In) (Out, error)) Operation {
	return Operation{name, func(ctx context.Context, c Caller, args []byte) (any, error) {
		var in In
		if len(args) > 0 {
			d := json.NewDecoder(bytes.NewReader(args))
			d.DisallowUnknownFields()
			err := d.Decode(&in)
			if err == nil {
				if _, end := d.Token(); end != io.EOF {
					err = errors.New("more than one value")
				}
			}
			if err != nil {
				return nil, model.E(name, model.KindInvalid, "arguments", err)
			}
		}
		return f(ctx, c, in)
	}}
}

// Operations lists everything there is.
func (a *Admin) Operations() []Operation {
	return []Operation{
		op("status", a.Status),
		op("event.list", a.ListEvents),
		op("user.create", a.CreateUser),
		op("user.list", a.ListUsers),
		op("user.show", a.ShowRecipient),
		op("user.delete", a.DeleteUser),
		op("user.password", a.SetPassword),
		op("user.enable", a.EnableUser),
		op("user.disable", a.DisableUser),
		op("mailbox.list", a.ListMailboxes),
		op("mailbox.show", a.ShowMailbox),
		op("mailbox.enable", a.EnableMailbox),
		op("mailbox.disable", a.DisableMailbox),
		op("mailbox.limits", a.SetLimits),
		op("mailbox.verify", a.VerifyMailbox),
		op("mailbox.oof", a.OutOfOffice),
		op("mailbox.retention", a.Retention),
		op("mailbox.rules", a.ListRules),
		op("mailbox.addrule", a.AddRule),
		op("mailbox.removerule", a.RemoveRule),
		op("mailbox.disconnected", a.ListDisconnected),
		op("mailbox.reconnect", a.ReconnectMailbox),
		op("mailbox.purge", a.PurgeMailbox),
		op("mailbox.warn", a.WarnMailboxes),
		op("mailbox.clean", a.CleanMailbox),
		op("contact.create", a.CreateContact),
		op("contact.list", a.ListContacts),
		op("contact.show", a.ShowRecipient),
		op("contact.delete", a.DeleteContact),
		op("group.create", a.CreateGroup),
		op("group.list", a.ListGroups),
		op("group.show", a.ShowRecipient),
		op("group.delete", a.DeleteGroup),
		op("group.members", a.GroupMembers),
		op("group.add", a.AddMembers),
		op("group.remove", a.RemoveMembers),
		op("storagegroup.list", a.ListStorageGroups),
		op("storagegroup.create", a.CreateStorageGroup),
		op("storagegroup.delete", a.DeleteStorageGroup),
		op("store.list", a.ListStores),
		op("store.create", a.CreateStore),
		op("store.delete", a.DeleteStore),
		op("store.maintain", a.MaintainStore),
		op("store.mount", a.MountStore),
		op("store.dismount", a.DismountStore),
		op("store.verify", a.VerifyStore),
		op("store.repair", a.RepairStore),
		op("store.dump", a.DumpStore),
		op("backup.full", a.FullBackup),
		op("backup.incremental", a.IncrementalBackup),
		op("backup.list", a.ListBackups),
		op("backup.verify", a.VerifyBackup),
		op("restore", a.Restore),
		op("recovery.restore", a.RestoreRecovery),
		op("recovery.list", a.ListRecovery),
		op("recovery.copy", a.CopyRecovery),
		op("job.list", a.ListJobs),
		op("job.show", a.ShowJob),
		op("job.cancel", a.CancelJob),
		op("service.list", a.ListServices),
		op("service.start", a.StartService),
		op("service.stop", a.StopService),
		op("service.pause", a.PauseService),
		op("queue.list", a.ListQueues),
		op("queue.show", a.ShowQueue),
		op("queue.retry", a.RetryQueue),
		op("queue.remove", a.RemoveQueued),
	}
}
