// Package table answers MAPI tables over a mailbox: contents, associated
// contents, hierarchy, recipients, attachments, search folders, and whatever
// else gives a Source (MS-OXCTABL). Column sets, restrictions, sorts with
// categories, bookmarks, seeking and finding are one engine over all of them.
//
// # Rules
//
// A table holds positions, not rows: of every row 32 bytes, its id
// and the beginning of its sort key. Every call is given a fresh View and first
// catches up with it, so that what it answers is what that view shows; values
// are read from the view. What happened on the way is told by Notices.
//
// Order: rows are ordered by group (see below), then by their sort keys
// (mapi.AppendSortKey), then by id and instance. Where the kept beginnings of
// keys are equal and go on, what the scan has kept of their tails decides, and
// then the full keys are read again; entries are never in any other order than
// that of their full keys.
//
// Groups: rows of one category stand together in the entries; the tree of groups
// alone knows the order of the headings and which are open. Segments map the
// visible rows to headings and entries. An uncategorized table has one group
// without a heading.
//
// Places within the table (the cursor and bookmarks) are anchors: an entry by
// its index, or a group. Catching up moves them with their rows; the anchor of a
// row that went stays between its neighbours and says so.
//
// Before it is asked for more, a table in an order that stands in an index keeps
// only the first rows (head). It holds that the head is exactly the beginning of
// the entries there would be.
//
// A Table is for one goroutine at a time and takes no locks. While it reads all
// rows of a Parted source, goroutines of its own make entries of parts of them;
// they share nothing but what does not change, and end before the call does.
package table
