package admin

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/rules"
)

// RuleInfo is a rule of an Inbox.
type RuleInfo struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Failed  bool   `json:"failed"`
	Actions int    `json:"actions"`
}

// ListRules lists the rules of a mailbox's Inbox.
func (a *Admin) ListRules(ctx context.Context, c Caller, n Name) ([]RuleInfo, error) {
	m, err := a.mailbox(ctx, c, "mailbox.rules", n.Name)
	if err != nil {
		return nil, err
	}
	list, err := m.Rules(store.FolderInbox)
	out := []RuleInfo{}
	for _, r := range list {
		out = append(out, RuleInfo{r.ID, r.Name, r.State&rules.Enabled != 0, r.State&(rules.Error|rules.ParseError) != 0, len(r.Actions)})
	}
	return out, err
}

// NewRule is a rule for a mailbox's Inbox. All conditions given have to hold.
type NewRule struct {
	Name     string `json:"name"` // of the mailbox
	Rule     string `json:"rule"`
	From     string `json:"from,omitempty"`    // the sender's address
	Subject  string `json:"subject,omitempty"` // words in the subject
	Body     string `json:"body,omitempty"`    // words in the text
	MoveTo   string `json:"moveTo,omitempty"`  // a folder below the top, or of the name
	Forward  string `json:"forward,omitempty"` // an address
	Redirect string `json:"redirect,omitempty"`
	MarkRead bool   `json:"markRead,omitempty"`
	Delete   bool   `json:"delete,omitempty"`
	Stop     bool   `json:"stop,omitempty"` // no later rule
}

// AddRule adds a rule behind those there are.
func (a *Admin) AddRule(ctx context.Context, c Caller, n NewRule) (*RuleInfo, error) {
	const op = "mailbox.addrule"
	info, err := a.addRule(ctx, c, op, n)
	return info, a.audit(ctx, c, op, n.Name, err)
}

func (a *Admin) addRule(ctx context.Context, c Caller, op string, n NewRule) (*RuleInfo, error) {
	m, err := a.mailbox(ctx, c, op, n.Name)
	if err != nil {
		return nil, err
	}
	have, err := m.Rules(store.FolderInbox)
	if err != nil {
		return nil, err
	}
	r := rules.Rule{Name: n.Rule, Provider: "Rialto", State: rules.Enabled, Condition: rules.Match{From: n.From, Subject: n.Subject, Body: n.Body}.Condition()}
	if len(have) > 0 {
		r.Sequence = have[len(have)-1].Sequence + 1
	}
	if n.Stop {
		r.State |= rules.ExitLevel
	}
	if r.Actions, err = n.actions(ctx, m); err != nil {
		return nil, err
	}
	ids, err := m.ModifyRules(ctx, store.FolderInbox, false, store.RuleChange{Op: store.RuleAdd, Rule: r})
	if err != nil {
		return nil, err
	}
	return &RuleInfo{ID: ids[0], Name: n.Rule, Enabled: true, Actions: len(r.Actions)}, nil
}

func (n *NewRule) actions(ctx context.Context, m *store.Mailbox) (out []rules.Action, err error) {
	if n.MoveTo != "" {
		f, err := folderNamed(ctx, m, n.MoveTo)
		if err != nil {
			return nil, err
		}
		out = append(out, rules.Move{Folder: uint64(f)})
	}
	for i, to := range []string{n.Forward, n.Redirect} {
		if to == "" {
			continue
		}
		addr, err := model.ParseAddress(to)
		if err != nil {
			return nil, err
		}
		f := rules.Forward{To: []rules.Recipient{{Address: addr}}}
		if i == 1 {
			f.Flavor = rules.PreserveSender | rules.DoNotChange
		}
		out = append(out, f)
	}
	if n.MarkRead {
		out = append(out, rules.MarkRead{})
	}
	if n.Delete {
		out = append(out, rules.Delete{})
	}
	return out, nil
}

// folderNamed finds the folder of a name; several are a conflict.
func folderNamed(ctx context.Context, m *store.Mailbox, name string) (found store.FolderID, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		return 0, err
	}
	for id, f := range folders {
		if f.Hidden || !strings.EqualFold(f.Name, name) {
			continue
		}
		if found != 0 {
			return 0, model.E("mailbox.addrule", model.KindConflict, "several folders are named "+name, nil)
		}
		found = id
	}
	if found == 0 {
		err = model.E("mailbox.addrule", model.KindNotFound, "folder "+name, nil)
	}
	return found, err
}

// RuleID names a rule of a mailbox.
type RuleID struct {
	Name string `json:"name"`
	ID   uint64 `json:"id"`
}

// RemoveRule removes a rule.
func (a *Admin) RemoveRule(ctx context.Context, c Caller, in RuleID) (*Nothing, error) {
	const op = "mailbox.removerule"
	m, err := a.mailbox(ctx, c, op, in.Name)
	if err == nil {
		_, err = m.ModifyRules(ctx, store.FolderInbox, false, store.RuleChange{Op: store.RuleRemove, Rule: rules.Rule{ID: in.ID}})
	}
	return &Nothing{}, a.audit(ctx, c, op, in.Name, err)
}
