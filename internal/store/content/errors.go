package content

import (
	"context"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Wrap turns an error of kv into one of ours; nil and errors that are ours
// already stay as they are.
func Wrap(op, object string, err error) error {
	if err == nil {
		return nil
	}
	var own *model.Error
	if errors.As(err, &own) {
		return err
	}
	kind := model.KindOther
	switch {
	case errors.Is(err, kv.ErrNotFound):
		kind = model.KindNotFound
	case errors.Is(err, kv.ErrNoSpace):
		kind = model.KindNoSpace
	case errors.Is(err, kv.ErrPoisoned), errors.Is(err, kv.ErrClosed), errors.Is(err, kv.ErrFenced), errors.Is(err, kv.ErrUnknown):
		kind = model.KindUnavailable
	case errors.Is(err, kv.ErrSnapshotExpired):
		kind = model.KindExpired
	case errors.Is(err, kv.ErrTooLarge):
		kind = model.KindTooLarge
	case errors.Is(err, kv.ErrCorrupt):
		kind = model.KindCorrupt
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = model.KindCanceled
	}
	return model.E(op, kind, object, err)
}
