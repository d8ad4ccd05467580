// Package delta answers "what has changed since" for protocols whose clients
// keep a token of the server's (JMAP, WebDAV) or whose state the server keeps
// for them (ActiveSync). Everything comes from the logs of the mailbox and its
// folders; nothing is kept that could drift from them.
//
// A token is a position in the log with the incarnation of the mailbox. One of
// another incarnation, or below the horizon where history would be needed, is
// answered with KindExpired: the client starts afresh (JMAP's
// cannotCalculateChanges, DAV's valid-sync-token). ActiveSync states know what
// the device has, so below the horizon they are compared with the folder, and
// nothing is lost.
package delta

import (
	"encoding/base64"
	"encoding/binary"

	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store"
)

// Token is a position in the history of a mailbox, or of one folder.
type Token struct {
	Incarnation uint32
	Folder      store.FolderID // 0: the mailbox
	Seq         store.Seq      // everything up to here is known
	LastID      uint64         // objects with a higher id were not there
}

const tokenVersion = 1

// String returns the token as clients keep it: letters, digits, "-" and "_".
func (t Token) String() string {
	b := []byte{tokenVersion}
	for _, v := range []uint64{uint64(t.Incarnation), uint64(t.Folder), uint64(t.Seq), t.LastID} {
		b = binary.AppendUvarint(b, v)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Parse reads a token. What is none gives KindInvalid.
func Parse(s string) (t Token, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(s) > 64 {
		return t, model.E("delta.token", model.KindInvalid, "token", err)
	}
	d := row.Reader{B: b}
	version := d.Byte()
	t = Token{uint32(d.Uvarint()), store.FolderID(d.Uvarint()), store.Seq(d.Uvarint()), d.Uvarint()}
	if version != tokenVersion || d.Bad || len(d.B) > 0 {
		return Token{}, model.E("delta.token", model.KindInvalid, "token", nil)
	}
	return t, nil
}

// expired says that a token can not be used any more.
func expired() error { return model.E("delta.changes", model.KindExpired, "token", nil) }
