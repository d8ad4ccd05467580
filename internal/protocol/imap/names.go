package imap

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
)

// delim separates the levels of a mailbox name.
const delim = '/'

// A folder of the store may have "/" in its name. IMAP shows it as %2F, and the
// % of a name that holds %2F or %25 already as %25, so that every name is shown
// in one way and read back to what it was.

// escapeName returns one level of a mailbox name.
func escapeName(name string) string {
	if !strings.ContainsAny(name, "/%") {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == delim:
			b.WriteString("%2F")
		case name[i] == '%' && escaped(name[i:]) != 0:
			b.WriteString("%25")
		default:
			b.WriteByte(name[i])
		}
	}
	return b.String()
}

// unescapeName is the reverse of escapeName.
func unescapeName(level string) string {
	if strings.IndexByte(level, '%') < 0 {
		return level
	}
	var b strings.Builder
	for i := 0; i < len(level); i++ {
		if c := escaped(level[i:]); c != 0 {
			b.WriteByte(c)
			i += 2
		} else {
			b.WriteByte(level[i])
		}
	}
	return b.String()
}

// escaped returns the character that an escape at the start of s stands for, 0
// if there is none.
func escaped(s string) byte {
	if len(s) < 3 || s[0] != '%' || s[1] != '2' {
		return 0
	}
	switch s[2] {
	case 'F', 'f':
		return delim
	case '5':
		return '%'
	}
	return 0
}

// isMail reports whether IMAP shows a folder: calendars, contacts and the like
// are no mail, and what is in the Outbox is being sent.
func isMail(f *store.Folder) bool {
	if f.Hidden || f.ID == store.FolderOutbox {
		return false
	}
	return f.Class == "" || strings.EqualFold(f.Class, "IPF.Note") || len(f.Class) > 9 && strings.EqualFold(f.Class[:9], "IPF.Note.")
}

// specialUse returns the attribute of RFC 6154 of a folder, "" if it has none.
func specialUse(id store.FolderID) string {
	switch id {
	case store.FolderSentItems:
		return `\Sent`
	case store.FolderDrafts:
		return `\Drafts`
	case store.FolderDeletedItems:
		return `\Trash`
	case store.FolderJunk:
		return `\Junk`
	}
	return ""
}

// errNoMailbox is what every look-up of a mailbox that is not there returns.
func errNoMailbox(name string) error {
	return model.E("imap.mailbox", model.KindNotFound, name, nil)
}

// find returns the folder of a mailbox name.
func find(ctx context.Context, v *store.View, name string) (*store.Folder, error) {
	levels := strings.Split(name, string(rune(delim)))
	f, rest, err := findDeepest(ctx, v, levels)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errNoMailbox(name)
	}
	return f, nil
}

// findDeepest follows levels as far as there are folders. rest are the levels
// that do not exist; f is the IPM subtree if none does. KindPermission if the
// way leads through a folder that is no mail.
func findDeepest(ctx context.Context, v *store.View, levels []string) (f *store.Folder, rest []string, err error) {
	if strings.EqualFold(levels[0], "INBOX") {
		f, err = v.Folder(ctx, store.FolderInbox)
		levels = levels[1:]
	} else {
		f = &store.Folder{ID: store.FolderSubtree}
	}
	for err == nil && len(levels) > 0 {
		var c *store.Folder
		c, err = v.Child(ctx, f.ID, unescapeName(levels[0]))
		switch {
		case model.IsKind(err, model.KindNotFound):
			return f, levels, nil
		case err != nil:
		case !isMail(c):
			return nil, nil, model.E("imap.mailbox", model.KindPermission, "", nil)
		default:
			f, levels = c, levels[1:]
		}
	}
	return f, nil, err
}

// withFolder calls fn with the folder of a mailbox name in a view of its own.
func (s *session) withFolder(ctx context.Context, name string, fn func(*store.View, *store.Folder) error) error {
	v, err := s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	f, err := find(ctx, v, name)
	if model.IsKind(err, model.KindPermission) {
		err = errNoMailbox(name)
	}
	if err != nil {
		return err
	}
	return fn(v, f)
}

// folder returns the folder of a mailbox name as it is now.
func (s *session) folder(ctx context.Context, name string) (f *store.Folder, err error) {
	err = s.withFolder(ctx, name, func(_ *store.View, found *store.Folder) error {
		f = found
		return nil
	})
	return f, err
}

// mailboxID returns the MAILBOXID of a folder (RFC 8474).
func (s *session) mailboxID(id store.FolderID) string {
	return store.ObjectName('F', s.incarnation, uint64(id))
}
