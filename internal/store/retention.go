package store

import (
	"context"
	"math"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// Retention says how long a folder keeps what is in it. Both are properties of
// the folder, PR_RETENTION_AGE_LIMIT and PR_OVERALL_AGE_LIMIT, so that clients
// and a migration can set them as well.
type Retention struct {
	Recoverable time.Duration // deleted items, to the minute; 0: as long as the mailbox does
	Age         time.Duration // items, from their delivery, to the second; then they are deleted; 0: for ever
}

// Retention returns what is set on a folder.
func (v *View) Retention(ctx context.Context, f FolderID) (Retention, error) {
	p, err := v.FolderProps(ctx, f)
	if err != nil {
		return Retention{}, err
	}
	return Retention{
		Recoverable: time.Duration(max(p.Int32(mapi.TagRetentionAgeLimit), 0)) * time.Minute,
		Age:         time.Duration(max(p.Int32(mapi.TagOverallAgeLimit), 0)) * time.Second,
	}, nil
}

// Retentions returns the folders with what is set on each.
func (v *View) Retentions(ctx context.Context) (map[*Folder]Retention, error) {
	folders, err := v.Folders(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[*Folder]Retention, len(folders))
	for id, f := range folders {
		if out[f], err = v.Retention(ctx, id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SetRetention sets it. KindInvalid if one is negative, longer than the property
// can say, or shorter than its unit.
func (m *Mailbox) SetRetention(ctx context.Context, f FolderID, r Retention) error {
	var set mapi.Properties
	var del []mapi.Tag
	for _, x := range []struct {
		tag  mapi.Tag
		d    time.Duration
		unit time.Duration
	}{{mapi.TagRetentionAgeLimit, r.Recoverable, time.Minute}, {mapi.TagOverallAgeLimit, r.Age, time.Second}} {
		n := x.d / x.unit
		switch {
		case x.d == 0:
			del = append(del, x.tag)
		case n <= 0 || n > math.MaxInt32:
			return model.E("store.retention", model.KindInvalid, "retention of "+x.d.String(), nil)
		default:
			set.Set(x.tag, int32(n))
		}
	}
	return m.SetFolderProps(ctx, f, set, del...)
}
