package org

import (
	"testing"
	"time"

	"rialto/internal/directory"
)

func TestSchedule(t *testing.T) {
	sunday := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	always := schedule(&directory.Entry{Attributes: []directory.Attribute{directory.Attr("q", "1")}}, "q", "s")
	never := schedule(&directory.Entry{Attributes: []directory.Attribute{directory.Attr("q", "0")}}, "q", "s")
	raw := make([]byte, 84)
	raw[0], raw[83] = 0xc0, 0x01 // Saturday 23:45 to Sunday 00:30
	custom := schedule(&directory.Entry{Attributes: []directory.Attribute{directory.Attr("q", "2"), directory.Attr("s", string(raw))}}, "q", "s")
	none := schedule(&directory.Entry{}, "q", "s")
	for _, c := range []struct {
		s     Schedule
		at    time.Duration
		start time.Duration
		ok    bool
	}{
		{always, 50*time.Hour + time.Minute, 48 * time.Hour, true},
		{never, 0, 0, false},
		{custom, 29 * time.Minute, -15 * time.Minute, true},
		{custom, 30 * time.Minute, 0, false},
		{custom, -time.Minute, -15 * time.Minute, true},
		{none, 24*time.Hour + 59*time.Minute, 24 * time.Hour, true},
		{none, 25 * time.Hour, 0, false},
	} {
		start, ok := c.s.Window(sunday.Add(c.at))
		if ok != c.ok || ok && !start.Equal(sunday.Add(c.start)) {
			t.Errorf("%v: %v %v", c.at, start, ok)
		}
	}
}

func TestMaintenanceWindow(t *testing.T) {
	zone := time.FixedZone("x", 2*3600)
	at := func(h, m int) time.Time { return time.Date(2026, 11, 22, h, m, 0, 0, zone) }
	own := Store{OwnMaintenance: true, Maintenance: Daily(12)}
	for i, c := range []struct {
		st    Store
		t     time.Time
		start time.Time
		ok    bool
	}{
		{Store{}, at(0, 59), time.Time{}, false}, {Store{}, at(1, 0), at(1, 0), true}, {Store{}, at(4, 59), at(1, 0), true}, {Store{}, at(5, 0), time.Time{}, false},
		{own, at(3, 0), time.Time{}, false}, {own, at(14, 30), at(14, 0), true}, {Store{OwnMaintenance: true}, at(3, 0), time.Time{}, false},
	} {
		start, ok := c.st.MaintenanceWindow(c.t)
		if ok != c.ok || ok && !start.Equal(c.start) {
			t.Errorf("%d: %v %v", i, start, ok)
		}
	}
}
