package attendant

import (
	"context"
	"log/slog"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// Recipients is an Organization that can list its mailboxes. Without it nobody
// is warned, and no mailbox is taken to be disconnected.
type Recipients interface {
	Mailboxes(ctx context.Context) ([]*org.Recipient, error)
}

// owners maps mailboxes to who owns them. ok is false if that is not known.
func (s *Stores) owners(ctx context.Context) (by map[model.GUID]*org.Recipient, ok bool, err error) {
	o, ok := s.opt.Org.(Recipients)
	if !ok {
		return nil, false, nil
	}
	list, err := o.Mailboxes(ctx)
	if err != nil {
		return nil, false, err
	}
	by = make(map[model.GUID]*org.Recipient, len(list))
	for _, r := range list {
		by[r.MailboxGUID] = r
	}
	return by, true, nil
}

// limitsOf are the quotas of a recipient's mailbox.
func (s *Stores) limitsOf(r *org.Recipient) store.Limits {
	var l store.Limits
	l.Warn, l.Send, l.Hard = s.opt.Org.Config().Quotas(r)
	return l
}

// serving returns the mounted stores with what the directory says of them.
func (s *Stores) serving() (out []mounted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.m {
		if m.db != nil && m.state == Mounted {
			out = append(out, mounted{m.db, m.store, m.group.Recovery})
		}
	}
	return out
}

type mounted struct {
	db       *store.Database
	st       org.Store
	recovery bool
}

// WarnQuotas sends warnings to the owners of mailboxes over a limit, of stores
// whose schedule says that it is time; at most one in each scheduled time. With
// now it is time, whatever the schedule says. It returns how many it sent.
func (s *Stores) WarnQuotas(ctx context.Context, now bool) (sent int, err error) {
	by, ok, err := s.owners(ctx)
	if err != nil || !ok {
		return 0, err
	}
	at := s.opt.Clock()
	for _, m := range s.serving() {
		since, due := m.st.QuotaSchedule.Window(at)
		if now {
			since, due = at, true
		}
		if !due || m.recovery {
			continue
		}
		boxes, e := m.db.Mailboxes(ctx)
		if e != nil {
			return sent, e
		}
		for _, h := range boxes {
			r := by[h.GUID]
			if r == nil || !h.Deleted.IsZero() || r.StoreGUID != m.st.GUID {
				continue
			}
			ok, e := s.warn(ctx, m.db, r, since)
			if ok {
				sent++
			}
			if e != nil && err == nil {
				err = e
			}
			if ctx.Err() != nil {
				return sent, ctx.Err()
			}
		}
	}
	return sent, err
}

func (s *Stores) warn(ctx context.Context, db *store.Database, r *org.Recipient, since time.Time) (bool, error) {
	box, err := db.Mailbox(ctx, r.MailboxGUID)
	if err != nil {
		return false, err
	}
	l := s.limitsOf(r)
	box.SetLimits(l)
	return box.WarnQuota(ctx, ownerOf(r), l, since)
}

func ownerOf(r *org.Recipient) store.Party { return store.Party{Name: r.Name, Address: r.Primary} }

// Events of disconnected mailboxes (MSExchangeIS Mailbox Store).
const (
	eventDisconnected = 9532 // a mailbox belongs to nobody any more
	eventDeleted      = 9533 // a mailbox was deleted for good
)

// Disconnected is a mailbox that belongs to nobody.
type Disconnected struct {
	GUID  model.GUID `json:"guid"`
	Name  string     `json:"name"`
	Store string     `json:"store"`
	Since time.Time  `json:"since"`
	Until time.Time  `json:"keptUntil"`
	Size  int64      `json:"size"`
}

// CleanMailboxes marks the mailboxes whose owners are gone as disconnected,
// takes that back of those that have an owner again, and deletes what has been
// disconnected for longer than its store keeps it. It may be stopped and run
// again.
func (s *Stores) CleanMailboxes(ctx context.Context) (err error) {
	by, ok, err := s.owners(ctx)
	if err != nil || !ok {
		return err
	}
	now := s.opt.Clock()
	for _, m := range s.serving() {
		if m.recovery {
			continue
		}
		boxes, e := m.db.Mailboxes(ctx)
		if e != nil {
			return e
		}
		for _, h := range boxes {
			r := by[h.GUID]
			if e := s.cleanMailbox(ctx, m, h, r != nil && r.StoreGUID == m.st.GUID, now); e != nil && !model.IsKind(e, model.KindNotFound) && err == nil {
				err = e
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return err
}

func (s *Stores) cleanMailbox(ctx context.Context, m mounted, h store.Header, owned bool, now time.Time) error {
	if owned == h.Deleted.IsZero() && (owned || now.Before(h.Deleted.Add(m.st.KeepMailboxes))) {
		return nil
	}
	if !owned && !h.Deleted.IsZero() {
		// What was read of the directory and of the mailbox may be old by now.
		by, ok, err := s.owners(ctx)
		if r := by[h.GUID]; err != nil || !ok || r != nil && r.StoreGUID == m.st.GUID {
			return err
		}
		err = m.db.DeleteDisconnected(ctx, h.GUID, h.Deleted)
		if model.IsKind(err, model.KindConflict) {
			return nil // somebody has it again
		}
		s.tell(ctx, eventDeleted, "The mailbox \""+h.DisplayName+"\" was deleted for good.", err)
		return err
	}
	box, err := m.db.Mailbox(ctx, h.GUID)
	if err != nil {
		return err
	}
	if owned {
		return box.Disconnect(ctx, time.Time{})
	}
	if err = box.Disconnect(ctx, now); err == nil {
		s.tell(ctx, eventDisconnected, "The mailbox \""+h.DisplayName+"\" belongs to nobody and was disconnected.", nil)
	}
	return err
}

// tell reports an event of mailboxes, with err as a warning.
func (s *Stores) tell(ctx context.Context, id int, text string, err error) {
	if s.opt.Events == nil {
		return
	}
	e := service.Event{Source: service.SourceMailboxes, ID: id, Level: slog.LevelInfo, Category: "General", Message: text}
	if err != nil {
		e.Level, e.Attrs = slog.LevelWarn, []slog.Attr{slog.String("error", err.Error())}
	}
	s.opt.Events.Report(ctx, e)
}

// Disconnected lists the disconnected mailboxes of the mounted stores.
func (s *Stores) Disconnected(ctx context.Context) ([]Disconnected, error) {
	out := []Disconnected{}
	for _, m := range s.serving() {
		boxes, err := m.db.Mailboxes(ctx)
		if err != nil {
			return nil, err
		}
		for _, h := range boxes {
			if h.Deleted.IsZero() {
				continue
			}
			d := Disconnected{GUID: h.GUID, Name: h.DisplayName, Store: m.st.Name, Since: h.Deleted, Until: h.Deleted.Add(m.st.KeepMailboxes)}
			if box, err := m.db.Mailbox(ctx, h.GUID); err == nil {
				d.Size = box.Size()
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// FindDisconnected finds a disconnected mailbox, and its store.
func (s *Stores) FindDisconnected(ctx context.Context, guid model.GUID) (*store.Mailbox, org.Store, error) {
	for _, m := range s.serving() {
		box, err := m.db.Mailbox(ctx, guid)
		if model.IsKind(err, model.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, org.Store{}, err
		}
		if box.Header().Deleted.IsZero() {
			return nil, org.Store{}, model.E("attendant.disconnected", model.KindConflict, "the mailbox is in use", nil)
		}
		return box, m.st, nil
	}
	return nil, org.Store{}, model.E("attendant.disconnected", model.KindNotFound, "disconnected mailbox "+guid.String(), nil)
}
