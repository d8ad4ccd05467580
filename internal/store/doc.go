// Package store is the information store: databases of mailboxes whose native
// model is MAPI's (folders, messages, typed properties, recipients,
// attachments). It knows no protocol and no MIME: what came as MIME is a stream
// to it, with a summary and a structure that others computed.
//
// # Four numbers
//
// Every mailbox has one allocator of sequence numbers (Seq), in commit order.
//
//	what changes on an item            seq  cn  readcn  oid  UID  MID  row
//	created, delivered, appended        x    x    x      x    x    x    x
//	read or unread                      x         x
//	answered, flagged, draft, forwarded x    x
//	\Deleted, keywords                  x
//	copied: the copy                    x    x    x      x    x    x    x
//	moved (also to the recoverable      x    x    x           x    x
//	 items)
//	recovered                           x    x    x      x    x    x
//	edited so that its MIME changes     x    x           x    x
//	edited otherwise                    x    x
//	removed for good                    x
//
// Seq is IMAP's MODSEQ and the position of every sync token. CN and ReadCN are
// (replica, counter); for local changes the replica is 1, the mailbox's own
// REPLGUID, and the counter is the seq.
//
// # Names and rows
//
// What hangs on what, the names of an item, the key spaces and the logs are in
// the comment of package layout.
//
// # Invariants and locks
//
// Mailbox.mu admits one writer per mailbox; it is held while a batch is built
// and ordered, never while the disk is waited for, and never while a stream is
// parsed or stored. Lock order: Database.creating, then mailboxes by ascending
// number, then one of Database.mu, the events' and the index's, which are held
// for a look-up only and never together. The folders and counters in memory are
// exactly what the last ordered batch left; readers use snapshots instead, and
// a View is not handed out before what it shows of its mailbox is durable.
// Every change of a state row ticks its folder's Counts.Seq in the same batch;
// the indexes of folders in memory (package folderindex) rest on that. A summary
// row is written in a batch that writes its item's state row with a new Seq; the
// columns in memory rest on that.
// Database.outbox.mu comes after all of them; a batch that reserves ids may be
// ordered under it.
// Events are published after that point too, so nothing that a power cut
// could take back is ever seen.
package store
