package imap

import (
	"context"
	"sort"
	"strings"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// listed is a folder with its mailbox name.
type listed struct {
	*store.Folder
	name     string
	children bool // mail folders are below it
	below    bool // a folder below it meets the selection (CHILDINFO)
}

// mailboxes returns the mail folders by name, parents before children.
func (s *session) mailboxes(ctx context.Context) ([]*listed, error) {
	v, err := s.box.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		return nil, err
	}
	children := make(map[store.FolderID][]*store.Folder)
	for _, f := range folders {
		if isMail(f) {
			children[f.Parent] = append(children[f.Parent], f)
		}
	}
	var out []*listed
	var visit func(parent store.FolderID, prefix string)
	visit = func(parent store.FolderID, prefix string) {
		list := children[parent]
		sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
		for _, f := range list {
			name := prefix + escapeName(f.Name)
			if f.ID == store.FolderInbox {
				name = "INBOX"
			}
			out = append(out, &listed{Folder: f, name: name, children: len(children[f.ID]) > 0})
			visit(f.ID, name+string(rune(delim)))
		}
	}
	visit(store.FolderSubtree, "")
	return out, nil
}

// list is LIST and LSUB (RFC 9051 6.3.9, RFC 3501 6.3.9).
func (s *session) list(ctx context.Context, verb string) (reply, error) {
	l, err := wire.ReadList(s.r)
	if err != nil {
		return reply{}, err
	}
	lsub := verb == "LSUB"
	if lsub {
		l.SelectSubscribed, l.SelectRecursive = true, true
	}
	if !l.Extended && len(l.Patterns) == 1 && l.Patterns[0] == "" { // asks for the delimiter
		s.w.Raw("* " + verb + ` (\Noselect) "/" ""`)
		s.w.CRLF()
		return ok(verb + " completed"), nil
	}
	all, err := s.mailboxes(ctx)
	if err != nil {
		return reply{}, err
	}
	markBelow(all, &l)
	for _, f := range all {
		if !matches(&l, f.name) {
			continue
		}
		switch {
		case selects(&l, f.Folder):
			s.listLine(verb, &l, f)
		case l.SelectRecursive && f.below:
			s.listLine(verb, &l, f)
			continue
		default:
			continue
		}
		if l.ReturnStatus != 0 {
			if err := s.statusLine(ctx, f.name, f.Folder, l.ReturnStatus); err != nil {
				return reply{}, err
			}
		}
	}
	return ok(verb + " completed"), nil
}

func matches(l *wire.List, name string) bool {
	for _, p := range l.Patterns {
		if wire.Match(l.Reference+p, name, delim) {
			return true
		}
	}
	return false
}

// markBelow sets below on the parents of what is selected. Parents stand before
// their children.
func markBelow(all []*listed, l *wire.List) {
	if !l.SelectRecursive {
		return
	}
	byID := make(map[store.FolderID]*listed, len(all))
	for _, f := range all {
		byID[f.ID] = f
	}
	for _, f := range all {
		if !selects(l, f.Folder) {
			continue
		}
		for p := byID[f.Parent]; p != nil && !p.below; p = byID[p.Parent] {
			p.below = true
		}
	}
}

// selects applies the selection options.
func selects(l *wire.List, f *store.Folder) bool {
	if l.SelectSubscribed && !f.Subscribed {
		return false
	}
	return !l.SelectSpecialUse || specialUse(f.ID) != ""
}

// listLine writes one LIST or LSUB response.
func (s *session) listLine(verb string, l *wire.List, f *listed) {
	attrs := []string{`\HasNoChildren`}
	if f.children {
		attrs[0] = `\HasChildren`
	}
	if l.ReturnSubscribed && f.Subscribed && verb == "LIST" {
		attrs = append(attrs, `\Subscribed`)
	}
	if use := specialUse(f.ID); use != "" {
		attrs = append(attrs, use)
	}
	if verb == "LSUB" && !f.Subscribed {
		attrs = append(attrs, `\Noselect`)
	}
	s.w.Raw("* " + verb + " (" + strings.Join(attrs, " ") + `) "/" `)
	s.w.Mailbox(f.name)
	if verb == "LIST" && l.SelectRecursive && f.below {
		s.w.Raw(` (CHILDINFO ("SUBSCRIBED"))`)
	}
	s.w.CRLF()
}
