package store

import (
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/rules"
)

// errorReserve is what outgoing mail and the counts of folders have left of
// batchReserve after deferred error messages.
const errorReserve = batchReserve * 3 / 4

// report marks the rules that failed and tells their owner, for the first
// failure of each. s is where the message is; it has no MID if it was returned.
func (r *ruleRun) report(s *State) {
	told := 0
	for i := range r.failed {
		if r.t.failRule(r.folder, s, &r.failed[i]) {
			if told++; told == rules.MaxErrors {
				return
			}
		}
	}
}

// failRule marks a rule as in error and leaves a deferred error message for the
// client that made it, unless it is marked already: its owner is told once until
// the rule is changed (MS-OXORULE 3.2.5.1.3). The rule stays enabled. It reports
// whether it did; what finds no room does with the next message.
func (t *txn) failRule(folder FolderID, s *State, x *rules.Failure) bool {
	list := slices.Clone(t.rulesOf(folder).Rules())
	i := slices.IndexFunc(list, func(r *rules.Rule) bool { return r.ID == x.Rule.ID })
	if i < 0 || list[i].State&rules.Error != 0 {
		return false
	}
	c := *list[i]
	c.State |= rules.Error
	v, err := c.Encode()
	if err != nil {
		return false
	}
	e, err := t.deferredError(folder, s, x).encode()
	if err != nil || t.b.Size()+e.each+len(v) > kv.MaxBatch-errorReserve {
		return false
	}
	if _, err := t.insert(FolderDeferredAction, e); err != nil {
		return false
	}
	t.b.Set(t.m.num.Rule(folder, c.ID), v)
	list[i] = &c
	_ = t.setRules(folder, list) // it was compiled before
	return true
}

// deferredError says why a rule was not carried out (MS-OXORULE 2.2.7).
func (t *txn) deferredError(folder FolderID, s *State, x *rules.Failure) *NewItem {
	in, at := t.entryIDs(folder, s)
	var p, sum mapi.Properties
	sum.Set(mapi.TagMessageClass, "IPC.Microsoft Exchange 4.0.Deferred Error")
	p.Set(mapi.TagRuleError, int32(x.Code))
	p.Set(mapi.TagRuleActionType, x.ActionType())
	p.Set(mapi.TagRuleActionNumber, int32(x.Number))
	p.Set(mapi.TagRuleProvider, x.Rule.Provider)
	p.Set(mapi.TagRuleFolderEntryID, in.Append(nil))
	p.Set(mapi.TagRuleID, int64(x.Rule.ID))
	if s.MID != 0 {
		p.Set(mapi.TagDAMOriginalEntryID, at.Append(nil))
	}
	return &NewItem{Props: p, Summary: Summary{Props: sum}}
}

// entryIDs are the names of the folder whose rules run, and of the message.
func (t *txn) entryIDs(folder FolderID, s *State) (in, at mapi.EntryID) {
	repl := t.m.header.ReplGUID
	in = mapi.EntryID{Provider: t.m.header.GUID, Folder: mapi.GID{Replica: repl, Counter: uint64(folder)}}
	at = in
	at.Folder.Counter = uint64(s.Place.Folder)
	at.Message = &mapi.GID{Replica: repl, Counter: uint64(s.MID)}
	return in, at
}
