package org

import (
	"time"

	"rialto/internal/directory"
)

// keepUntilBackup is the value of deletedItemFlags that keeps deleted items
// until they are in a backup, however old they are; 5 is by age alone.
const keepUntilBackup = 3

// Schedule is a week of quarter hours, one bit each, the highest bit of an octet
// first, from Sunday 00:00 UTC on: 84 octets. The zero Schedule is never.
type Schedule [scheduleOctets]byte

const (
	scheduleOctets = 84
	quarter        = 15 * time.Minute
	quartersOfWeek = 7 * 24 * 4
)

// Styles of a schedule (activationStyle and its kin).
const (
	styleNever  = 0
	styleAlways = 1
)

// Daily is a schedule of one hour a day, from the given hour (UTC) on.
func Daily(hour int) (s Schedule) {
	for day := range 7 {
		for q := range 4 {
			s.set((day*24+hour)*4 + q)
		}
	}
	return s
}

func (s *Schedule) set(q int) { s[q/8] |= 0x80 >> (q % 8) }

func (s *Schedule) has(q int) bool {
	q = (q%quartersOfWeek + quartersOfWeek) % quartersOfWeek
	return s[q/8]&(0x80>>(q%8)) != 0
}

// Window returns when the scheduled time that t is in began, at most a day ago;
// ok is false outside of any.
func (s *Schedule) Window(t time.Time) (start time.Time, ok bool) {
	t = t.UTC().Truncate(quarter)
	q := (int(t.Weekday())*24+t.Hour())*4 + t.Minute()/15
	if !s.has(q) {
		return time.Time{}, false
	}
	n := 0
	for n < 95 && s.has(q-n-1) {
		n++
	}
	if n == 95 { // without a pause: a day is a window
		return t.Truncate(24 * time.Hour), true
	}
	return t.Add(-time.Duration(n) * quarter), true
}

// schedule reads a schedule with its style. Where there is none it is daily at
// midnight, as Exchange sends its warnings.
func schedule(e *directory.Entry, style, attr string) Schedule {
	s, ok := ownSchedule(e, style, attr)
	if !ok {
		s = Daily(0)
	}
	return s
}

// ownSchedule reads a schedule with its style; ok is false if there is none.
func ownSchedule(e *directory.Entry, style, attr string) (s Schedule, ok bool) {
	raw := e.Text(attr)
	_, styled := e.Int(style)
	switch n := number(e, style); {
	case styled && n == styleNever:
	case styled && n == styleAlways:
		for q := range quartersOfWeek {
			s.set(q)
		}
	case len(raw) == scheduleOctets:
		copy(s[:], raw)
	default:
		return s, false
	}
	return s, true
}

// Hours of the day, local time, between which a store without a schedule of its
// own is maintained.
const (
	nightBegins = 1
	nightEnds   = 5
)

// MaintenanceWindow returns when the time for maintenance that t is in began; ok
// is false outside of any. Night is that of t's location.
func (st *Store) MaintenanceWindow(t time.Time) (start time.Time, ok bool) {
	if st.OwnMaintenance {
		return st.Maintenance.Window(t)
	}
	y, m, d := t.Date()
	start = time.Date(y, m, d, nightBegins, 0, 0, 0, t.Location())
	end := time.Date(y, m, d, nightEnds, 0, 0, 0, t.Location())
	return start, !t.Before(start) && t.Before(end)
}

// Quotas returns the octets at which a mailbox's owner is warned, may send no
// more, and the mailbox takes no more: its own or its store's; 0: no limit.
func (c *Config) Quotas(r *Recipient) (warn, send, hard int64) {
	if !r.UseDefaults {
		return r.WarnQuota, r.SendQuota, r.HardQuota
	}
	st, _, _ := c.Store(r.StoreGUID)
	return st.WarnQuota, st.SendQuota, st.HardQuota
}
