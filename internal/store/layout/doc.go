// Package layout is how a database of the information store is laid out on kv:
// the names and numbers of things, the key spaces, and the form of each row. It
// reads and writes rows and knows no open mailbox, no lock and no caller. Which
// change ticks what is in the comment of package store.
//
// Encode and Decode of a type are its row: a version byte first, and a row of an
// earlier version is read. Whatever octets a row has, Decode returns
// (KindCorrupt), with memory in proportion to the row. Slices that a Decode
// returns point into the row unless it says otherwise; rows are values that kv
// gave away, or are copied before.
//
// Functions named Put, Drop and Log… add to a batch that a writer of the mailbox
// orders; functions named Read and Scan… read what kv.Reader they are given. All
// may be called concurrently, none keeps what it was given.
//
// # Four names
//
// RowID never changes; properties, recipients and attachments hang on it. OID
// is the item's name in its mailbox (EMAILID, UIDL) and survives a move between
// folders. MID is MAPI's and is new after every move. UID is IMAP's. Row, OID
// and MID of a new item are the same counter value; later ones are drawn anew.
//
// # Key spaces
//
// All integers are big endian. Every value starts with a version byte. A
// mailbox is known in keys by a 4-byte number of its database; nothing in the
// values under a mailbox prefix refers to the database except content ids, so
// that a mailbox moves by copying its prefix.
//
//	database
//	01 name                           database facts: "format", "guid", "outbox", "restored", "number" (highest of a mailbox ever),
//	                                  "backup" and "maintenance" (the last ones)
//	02 guid16                         mailbox directory: number, state
//	03 content8                       content header, and the bytes if they are few
//	04 hash32                         content8 of the stream with that hash
//	05 content8 mailbox4 row6         a reference; content without any is garbage
//	06 content8 chunk4                chunks, on engines without segments
//	07 segment8 offset8               content8 of the record there
//	08 outbox8                        mail the store itself sends
//	09 hash16 of queue id, recipient   deliveries done for the transport
//	0a content8                       content that lost a reference: look at it
//	mailbox: 10 mailbox4, then
//	00                                header: GUIDs, incarnation, names, times
//	01                                counters: seq, ids, UIDVALIDITY, reserved ahead
//	02 replid2                        replica GUID
//	03 propid2                        named property
//	04 namehash16                     property id of a name
//	05 folder6                        folder definition
//	06 folder6                        folder counts
//	07 parent6 namehash16             folder6 of the name
//	10 folder6 space1 n6              state row
//	11 folder6 space1 n6              summary row
//	12 row6                           property bag
//	13 row6                           recipients
//	14 row6 number4                   attachment
//	15 row6                           stream: content id, trace headers, structure
//	18 oid6                           place (folder, space, n)
//	19 mid6                           place
//	1a keyhash16                      place of a foreign source key
//	1b msgidhash16 oid6               Internet message id
//	1c conversation16 oid6            conversation
//	1d folder6 time8 oid6             delivery time: UID
//	20 seq8                           log of the mailbox
//	21 folder6 seq8                   log of a folder
//	22 folder6                        horizon (folder 0: of the mailbox)
//	23 device16 collection16 gen1     device state
//	24 session8 n8                    staging
//	25 user16 folder6                 read state of a public folder per user
//	26 folder6                        permissions
//	27 class                          receive folder
//	28 folder6 slot1                  search folder: 0 definition, 1 state, 2 then oid6 a member
//	29 folder6 n6                     rule
//	2a row6 kind1                     frozen rendering
//	2b sender16                       out-of-office sent once
//	2c replica2 from6                 reserved MID range
//	2d folder6 replica2 counter6      log of a public folder by change number
//	2e name                           settings of the mailbox: "oof", "warned", …
//	30 space1 …                       derived, may be dropped at any time; space 1 is
//	                                  the search index (package fulltext)
//
// space is 0 normal, 1 associated, 2 deleted (recoverable). n is the UID in the
// normal space and the row id in the others: those must not shift EXISTS.
//
// # Log
//
// An object is in the mailbox log once, under its newest seq; its state row,
// definition or tombstone says which that is. Entries of a folder's log carry
// what each protocol needs of a thing that is gone. Below the horizon of a
// folder there is no history: readers of changes are told so.
package layout
