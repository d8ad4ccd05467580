package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rialto/internal/model"
	"rialto/internal/store"
)

// Retention sets how long a folder keeps what is in it; without a folder nothing
// is changed.
type Retention struct {
	Name        string `json:"name"`
	Folder      string `json:"folder,omitempty"`
	Days        *int   `json:"days,omitempty"`        // after which items are deleted; 0: never
	DeletedDays *int   `json:"deletedDays,omitempty"` // for which deleted items can be recovered; 0: as in the mailbox
}

// FolderRetention is what is set on a folder.
type FolderRetention struct {
	Folder      string `json:"folder"`
	Days        int    `json:"days,omitempty"`
	DeletedDays int    `json:"deletedDays,omitempty"`
}

const (
	day     = 24 * time.Hour
	maxDays = 24000 // what the property of a folder can say
)

// Retention sets the retention of a folder and lists the folders of the mailbox
// that have one of their own.
func (a *Admin) Retention(ctx context.Context, c Caller, in Retention) ([]FolderRetention, error) {
	const op = "mailbox.retention"
	m, err := a.mailbox(ctx, c, op, in.Name)
	if err != nil {
		return nil, err
	}
	if in.Days != nil || in.DeletedDays != nil {
		if err := a.audit(ctx, c, op, in.Name, in.apply(ctx, m)); err != nil {
			return nil, err
		}
	}
	return listRetention(ctx, m)
}

func (in *Retention) apply(ctx context.Context, m *store.Mailbox) error {
	const op = "mailbox.retention"
	if in.Folder == "" {
		return model.E(op, model.KindInvalid, "no folder is named", nil)
	}
	f, err := folderNamed(ctx, m, in.Folder)
	if err != nil {
		return err
	}
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	r, err := v.Retention(ctx, f)
	v.Close()
	if err != nil {
		return err
	}
	for _, x := range []struct {
		days *int
		to   *time.Duration
	}{{in.Days, &r.Age}, {in.DeletedDays, &r.Recoverable}} {
		switch {
		case x.days == nil:
		case *x.days < 0 || *x.days > maxDays:
			return model.E(op, model.KindInvalid, "days must be between 0 and 24000", nil)
		default:
			*x.to = time.Duration(*x.days) * day
		}
	}
	return m.SetRetention(ctx, f, r)
}

func listRetention(ctx context.Context, m *store.Mailbox) ([]FolderRetention, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	folders, err := v.Retentions(ctx)
	if err != nil {
		return nil, err
	}
	out := []FolderRetention{}
	for f, r := range folders {
		if r != (store.Retention{}) {
			out = append(out, FolderRetention{f.Name, inDays(r.Age), inDays(r.Recoverable)})
		}
	}
	slices.SortFunc(out, func(a, b FolderRetention) int { return cmp.Compare(a.Folder, b.Folder) })
	return out, nil
}

// inDays rounds up: clients can set less than a day.
func inDays(d time.Duration) int { return int((d + day - 1) / day) }
