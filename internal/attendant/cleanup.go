package attendant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// CleanupAction is what the mailbox manager does with an item over its limits.
type CleanupAction string

// The actions.
const (
	CleanupReport  CleanupAction = "report"  // nothing, but count it
	CleanupDeleted CleanupAction = "deleted" // move it to Deleted Items
	CleanupSystem  CleanupAction = "system"  // move it below System Cleanup, into a folder of the same name
	CleanupDelete  CleanupAction = "delete"  // delete it; it is recoverable as any deleted item
)

// systemCleanup is the folder that CleanupSystem moves to.
const systemCleanup = "System Cleanup"

// FolderLimit says which items of a folder are dealt with: those that are older
// than Age and larger than Size.
type FolderLimit struct {
	Folder string        // name; "": every folder that no other limit names
	Age    time.Duration // since delivery; 0: whatever the age
	Size   int64         // octets; 0: whatever the size
}

// Cleanup are settings of the mailbox manager.
type Cleanup struct {
	Action  CleanupAction
	Folders []FolderLimit
	Notify  bool // tell the owners what was done
}

// Check refuses settings that make no sense, or that would empty a mailbox.
func (c *Cleanup) Check() error {
	const op = "attendant.cleanup"
	switch c.Action {
	case CleanupReport, CleanupDeleted, CleanupSystem, CleanupDelete:
	default:
		return model.E(op, model.KindInvalid, "action "+string(c.Action), nil)
	}
	if len(c.Folders) == 0 {
		return model.E(op, model.KindInvalid, "no folder is named", nil)
	}
	for _, f := range c.Folders {
		if f.Age < 0 || f.Size < 0 || f.Age == 0 && f.Size == 0 {
			return model.E(op, model.KindInvalid, "folder "+f.Folder+" has no limit", nil)
		}
	}
	return nil
}

// Cleaned is what was found, or done, in one folder or in all.
type Cleaned struct {
	Folder string `json:"folder,omitempty"`
	Items  int    `json:"items"`
	Size   int64  `json:"size"`
}

// cleanupChunk is how many items are moved or deleted at a time; between two
// chunks the run can be cancelled.
const cleanupChunk = 500

// CleanUp runs the mailbox manager on one mailbox. What was dealt with is not
// found again, so a run that was stopped is carried on by the next one.
func (s *Stores) CleanUp(ctx context.Context, r *org.Recipient, c *Cleanup) ([]Cleaned, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m, err := s.Mailbox(ctx, r)
	if err != nil {
		return nil, err
	}
	folders, err := cleanable(ctx, m)
	if err != nil {
		return nil, err
	}
	var out []Cleaned
	for _, f := range folders {
		limit := c.limitOf(f)
		if limit == nil {
			continue
		}
		done, err := s.cleanFolder(ctx, m, f, limit, c.Action)
		if done.Items > 0 {
			out = append(out, done)
		}
		if err != nil {
			return out, err
		}
	}
	if c.Notify && len(out) > 0 {
		err = m.Notify(ctx, ownerOf(r), "Mailbox cleanup", cleanupReport(c.Action, out))
	}
	return out, err
}

// cleanable lists the folders that users see, in the order of their numbers.
func cleanable(ctx context.Context, m *store.Mailbox) ([]*store.Folder, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	all, err := v.Folders(ctx)
	if err != nil {
		return nil, err
	}
	var out []*store.Folder
	for _, f := range all {
		if !f.Hidden && !belowCleanup(all, f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *store.Folder) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// belowCleanup reports whether a folder is in System Cleanup, or that itself.
func belowCleanup(all map[store.FolderID]*store.Folder, f *store.Folder) bool {
	for ; f != nil; f = all[f.Parent] {
		if f.Parent == store.FolderSubtree && strings.EqualFold(f.Name, systemCleanup) {
			return true
		}
	}
	return false
}

// limitOf finds the limit of a folder: by name, else the one of all others.
func (c *Cleanup) limitOf(f *store.Folder) (found *FolderLimit) {
	for i := range c.Folders {
		l := &c.Folders[i]
		if strings.EqualFold(l.Folder, f.Name) {
			return l
		}
		// What was moved there stays there, unless the folder is named.
		if l.Folder == "" && (c.Action != CleanupDeleted || f.ID != store.FolderDeletedItems) {
			found = l
		}
	}
	return found
}

func (s *Stores) cleanFolder(ctx context.Context, m *store.Mailbox, f *store.Folder, l *FolderLimit, action CleanupAction) (Cleaned, error) {
	out := Cleaned{Folder: f.Name}
	oids, size, err := over(ctx, m, f.ID, l, s.opt.Clock())
	if err != nil || len(oids) == 0 {
		return out, err
	}
	if action == CleanupReport {
		out.Items, out.Size = len(oids), size
		return out, nil
	}
	var to store.FolderID // 0: delete
	switch {
	case action == CleanupDeleted && f.ID != store.FolderDeletedItems:
		to = store.FolderDeletedItems
	case action == CleanupSystem:
		if to, err = cleanupFolder(ctx, m, f); err != nil {
			return out, err
		}
	}
	for len(oids) > 0 {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		some := oids[:min(len(oids), cleanupChunk)]
		oids = oids[len(some):]
		n := 0
		if to == 0 {
			n, err = m.DeleteItems(ctx, f.ID, some, false)
		} else {
			moved, e := m.MoveItems(ctx, f.ID, some, to)
			n, err = len(moved), e
		}
		out.Items += n
		if err != nil {
			return out, err
		}
	}
	out.Size = size
	return out, nil
}

// over lists the items of a folder that are over a limit.
func over(ctx context.Context, m *store.Mailbox, f store.FolderID, l *FolderLimit, now time.Time) (oids []store.OID, size int64, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer v.Close()
	err = v.SpaceStates(ctx, f, store.Normal, func(st *store.State) bool {
		if (l.Age == 0 || st.Time.Before(now.Add(-l.Age))) && st.Size > l.Size {
			oids = append(oids, st.OID)
			size += st.Size
		}
		return true
	})
	return oids, size, err
}

// cleanupFolder finds or makes the folder below System Cleanup.
func cleanupFolder(ctx context.Context, m *store.Mailbox, f *store.Folder) (store.FolderID, error) {
	top, err := child(ctx, m, store.FolderSubtree, systemCleanup)
	if err != nil {
		return 0, err
	}
	return child(ctx, m, top, f.Name)
}

func child(ctx context.Context, m *store.Mailbox, parent store.FolderID, name string) (store.FolderID, error) {
	f, err := m.CreateFolder(ctx, parent, name, "")
	if err == nil {
		return f.ID, nil
	}
	if !model.IsKind(err, model.KindExists) {
		return 0, err
	}
	v, err := m.View(ctx)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	f, err = v.Child(ctx, parent, name)
	if err != nil {
		return 0, err
	}
	return f.ID, nil
}

// cleanupReport is what an owner reads.
func cleanupReport(a CleanupAction, done []Cleaned) string {
	what := map[CleanupAction]string{CleanupReport: "are over the limits of your organization. Nothing was done to them",
		CleanupDeleted: "were over the limits of your organization and were moved to Deleted Items",
		CleanupSystem:  "were over the limits of your organization and were moved to " + systemCleanup,
		CleanupDelete:  "were over the limits of your organization and were deleted"}[a]
	var b strings.Builder
	n := 0
	for _, d := range done {
		n += d.Items
	}
	fmt.Fprintf(&b, "%d items %s.\n\n", n, what)
	for _, d := range done {
		fmt.Fprintf(&b, "  %s: %d items, %d KB\n", d.Folder, d.Items, (d.Size+1023)/1024)
	}
	return b.String()
}
