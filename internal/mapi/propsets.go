package mapi

import "rialto/internal/model"

// PropertySet is one of the property sets that Exchange itself names its named
// properties in (MS-OXPROPS 1.3.2).
type PropertySet uint8

// The property sets.
const (
	PSMAPI PropertySet = iota // the ids below 0x8000
	PSPublicStrings
	PSInternetHeaders
	PSCommon
	PSAddress
	PSAppointment
	PSMeeting
	PSTask
	PSLog
	PSNote
	PSMessaging
	PSSharing
	PSAirSync
	PSPostRSS
	PSUnifiedMessaging
	PSCalendarAssistant
	propertySets
)

// GUID returns the GUID of the set, the zero GUID of one that there is not.
func (s PropertySet) GUID() model.GUID {
	// The sets {000620xx-0000-0000-C000-000000000046}.
	old := map[PropertySet]byte{PSAppointment: 0x02, PSTask: 0x03, PSAddress: 0x04, PSCommon: 0x08,
		PSLog: 0x0a, PSNote: 0x0e, PSSharing: 0x40, PSPostRSS: 0x41}
	if n, ok := old[s]; ok {
		return model.GUID{n, 0x20, 0x06, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}
	}
	switch s {
	case PSMAPI:
		return model.GUID{0x28, 0x03, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}
	case PSPublicStrings:
		return model.GUID{0x29, 0x03, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}
	case PSInternetHeaders:
		return model.GUID{0x86, 0x03, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}
	case PSMeeting:
		return known("6ed8da90-450b-101b-98da-00aa003f1305")
	case PSMessaging:
		return known("41f28f13-83f4-4114-a584-eedb5a6b0bff")
	case PSAirSync:
		return known("71035549-0739-4dcb-9163-00f0580dbbdf")
	case PSUnifiedMessaging:
		return known("4442858e-a9e3-4e80-b900-317a210cc15b")
	case PSCalendarAssistant:
		return known("11000e07-b51b-40d6-af21-caa85edab1d0")
	}
	return model.GUID{}
}

// known reads one of the GUIDs above; a test reads them all.
func known(s string) model.GUID {
	g, _ := model.ParseGUID(s)
	return g
}
