package fsck

import (
	"context"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// Database is a mounted database, which may be in use.
type Database struct {
	Name    string // for errors
	KV      kv.DB
	Content *content.Store
	Boxes   Boxes
}

// Boxes is what a check asks of the open mailboxes of a database.
type Boxes interface {
	// LastID is the highest id that the mailbox has given out. Objects with a
	// higher one are in no snapshot taken before the call.
	LastID(ctx context.Context, guid model.GUID) (uint64, error)
	// Hold runs fn while nothing is written to the mailbox. An error is that of
	// opening it, and fn was not called.
	Hold(ctx context.Context, guid model.GUID, fn func()) error
	// NewIncarnation gives the mailbox a new identity space, see
	// store.Mailbox.NewIncarnation.
	NewIncarnation(ctx context.Context, guid model.GUID) error
}
