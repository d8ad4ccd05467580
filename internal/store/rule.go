package store

import (
	"context"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
	"rialto/internal/store/rules"
)

// RuleOp says what a RuleChange does (MS-OXORULE 2.2.1.3).
type RuleOp uint8

// The operations.
const (
	RuleAdd    RuleOp = 0x01
	RuleModify RuleOp = 0x02
	RuleRemove RuleOp = 0x04
)

// RuleChange is one change of a rule table. RuleModify replaces the rule of that
// ID, RuleRemove needs nothing but the ID.
type RuleChange struct {
	Op   RuleOp
	Rule rules.Rule
}

// ruleTables are the rules of the folders that have any.
type ruleTables map[FolderID]*rules.Table

// readRules returns the tables of a mailbox. A damaged rule is left out: it must
// not keep mail from coming in.
func readRules(ctx context.Context, r kv.Reader, n layout.Number) (ruleTables, error) {
	lists := map[FolderID][]*rules.Rule{}
	p := n.Key(layout.SubRule)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
	for it.Next() {
		k := it.Key()
		if len(k) != len(p)+12 {
			continue
		}
		if rule, err := rules.Decode(layout.Get48(k[len(p)+6:]), it.Value()); err == nil {
			f := FolderID(layout.Get48(k[len(p):]))
			lists[f] = append(lists[f], rule)
		}
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.rules", "mailbox", err)
	}
	out := ruleTables{}
	for f, list := range lists {
		t, err := rules.NewTable(list)
		if err != nil {
			return nil, err
		}
		out[f] = t
	}
	return out, nil
}

// wanted are the properties that conditions ask for and no row holds.
func (ts ruleTables) wanted() (out []mapi.Tag) {
	for _, t := range ts {
		for _, r := range t.Rules() {
			if r.Condition == nil {
				continue
			}
			mapi.Tags(r.Condition, func(tag mapi.Tag) {
				if tag = lazyTag(tag); tag != 0 && !slices.Contains(out, tag) {
					out = append(out, tag)
				}
			})
			if tag := mapi.TagMessageAttachments; !slices.Contains(out, tag) && asksTable(r.Condition, tag) {
				out = append(out, tag)
			}
		}
	}
	return out
}

// lazyTag returns the tag under which Origin.Lazy is asked, 0 if it is not.
func lazyTag(t mapi.Tag) mapi.Tag {
	for _, l := range []mapi.Tag{mapi.TagBody, mapi.TagBodyHTML, mapi.TagTransportHeaders} {
		if t.ID() == l.ID() {
			return l
		}
	}
	return 0
}

// asksTable reports whether a condition looks into a table of the message.
func asksTable(r mapi.Restriction, table mapi.Tag) bool {
	some := func(rs []mapi.Restriction) bool {
		return slices.ContainsFunc(rs, func(r mapi.Restriction) bool { return asksTable(r, table) })
	}
	switch r := r.(type) {
	case mapi.And:
		return some(r)
	case mapi.Or:
		return some(r)
	case *mapi.Not:
		return asksTable(r.R, table)
	case *mapi.Count:
		return asksTable(r.R, table)
	case *mapi.Comment:
		return asksTable(r.R, table)
	case *mapi.Sub:
		return r.Table == table
	}
	return false
}

// installRules makes changed tables those in force.
func (b *box) installRules(changed ruleTables) {
	if len(changed) == 0 {
		return
	}
	for f, x := range changed {
		if b.tables[f] = x; x == nil {
			delete(b.tables, f)
		}
	}
	tags := b.tables.wanted()
	b.wanted.Store(&tags)
}

// rulesOf returns a folder's table as changed so far, nil if it has none.
func (t *txn) rulesOf(f FolderID) *rules.Table {
	if x, ok := t.tables[f]; ok {
		return x
	}
	return t.m.tables[f]
}

// setRules makes list the table of a folder.
func (t *txn) setRules(f FolderID, list []*rules.Rule) error {
	if len(list) == 0 {
		t.setTable(f, nil)
		return nil
	}
	x, err := rules.NewTable(list)
	if err == nil {
		t.setTable(f, x)
	}
	return err
}

func (t *txn) setTable(f FolderID, x *rules.Table) {
	if t.tables == nil {
		t.tables = ruleTables{}
	}
	t.tables[f] = x
}

// Rules returns the rules of a folder in the order in which they run.
func (m *Mailbox) Rules(f FolderID) ([]rules.Rule, error) {
	if err := m.may("store.rules", f, RightOwner); err != nil {
		return nil, err
	}
	if err := m.lock(); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.folders[f] == nil {
		return nil, model.E("store.rules", model.KindNotFound, "folder", nil)
	}
	var out []rules.Rule
	for _, r := range m.tables[f].Rules() {
		out = append(out, *r)
	}
	return out, nil
}

// ModifyRules changes the rules of a folder, all or nothing; with replace the
// table is emptied first and every change has to be RuleAdd (MS-OXORULE
// 3.2.5.2). It returns the ids of the rules that were added, in order. It takes
// the right RightOwner. The bits of errors are the server's: a rule that is
// written is taken to be mended.
func (m *Mailbox) ModifyRules(ctx context.Context, f FolderID, replace bool, changes ...RuleChange) ([]uint64, error) {
	const op = "store.rules"
	if err := m.may(op, f, RightOwner); err != nil {
		return nil, err
	}
	if len(changes) > 2*rules.MaxRules {
		return nil, model.E(op, model.KindTooLarge, "rules", nil)
	}
	var added []uint64
	err := m.update(ctx, op, func(t *txn) error {
		if _, err := t.folder(f); err != nil {
			return err
		}
		list := slices.Clone(t.rulesOf(f).Rules())
		if replace {
			p := m.num.ID(layout.SubRule, uint64(f))
			t.b.DeleteRange(p, layout.PrefixEnd(p))
			list = nil
		}
		for i := range changes {
			c := &changes[i]
			if replace && c.Op != RuleAdd {
				return model.E(op, model.KindInvalid, "only new rules can replace a table", nil)
			}
			var err error
			if list, err = t.changeRule(f, list, c, &added); err != nil {
				return err
			}
		}
		if len(list) > rules.MaxRules {
			return model.E(op, model.KindQuota, "rules", nil)
		}
		if err := checkTable(list); err != nil {
			return err
		}
		return t.setRules(f, list)
	})
	return added, err
}

// changeRule applies one change to a list of rules.
func (t *txn) changeRule(f FolderID, list []*rules.Rule, c *RuleChange, added *[]uint64) ([]*rules.Rule, error) {
	const op = "store.rules"
	at := -1
	if c.Op != RuleAdd {
		if at = slices.IndexFunc(list, func(r *rules.Rule) bool { return r.ID == c.Rule.ID }); at < 0 {
			return nil, model.E(op, model.KindNotFound, "rule", nil)
		}
	}
	r := c.Rule
	r.State &^= rules.Error | rules.ParseError
	switch c.Op {
	case RuleRemove:
		t.b.Delete(t.m.num.Rule(f, r.ID))
		return slices.Delete(list, at, at+1), nil
	case RuleAdd:
		r.ID = t.nextID()
		*added = append(*added, r.ID)
		list = append(list, &r)
	case RuleModify:
		list[at] = &r
	default:
		return nil, model.E(op, model.KindInvalid, "operation", nil)
	}
	return list, t.putRule(f, &r)
}

func (t *txn) putRule(f FolderID, r *rules.Rule) error {
	if err := r.Check(); err != nil {
		return err
	}
	v, err := r.Encode()
	if err == nil {
		t.b.Set(t.m.num.Rule(f, r.ID), v)
	}
	return err
}

// checkTable bounds a table, which is in memory while its mailbox is open.
func checkTable(list []*rules.Rule) error {
	total := 0
	for _, r := range list {
		v, err := r.Encode()
		if err != nil {
			return err
		}
		if total += len(v); total > rules.MaxTable {
			return model.E("store.rules", model.KindQuota, "rules", nil)
		}
	}
	return nil
}

// dropRules removes the table of a folder that goes.
func (t *txn) dropRules(f FolderID) {
	if t.rulesOf(f) == nil {
		return
	}
	p := t.m.num.ID(layout.SubRule, uint64(f))
	t.b.DeleteRange(p, layout.PrefixEnd(p))
	t.setTable(f, nil)
}
