package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/kootask/kootask/service/reason"
)

// DefaultTicketsPerPeer is the default of [Config.TicketsPerPeer].
const DefaultTicketsPerPeer = 20

// timeForm is the format of times in bodies, in milliseconds like a task's.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// ticket answers with a ticket that lets an event source watch the task. It does not ask KooDrive.
func (g *Gateway) ticket(w http.ResponseWriter, r *http.Request, params map[string]string) {
	id := params["task_id"]
	if err := g.checkTaskID(id); err != nil {
		g.refuse(w, r, reason.Of(err))
		return
	}
	g.issueTicket(w, r, []string{id})
}

// ticketForTasks is ticket for several tasks.
func (g *Gateway) ticketForTasks(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ids, err := g.checkTaskIDs(r.URL.Query()[taskIDs.name])
	if err != nil {
		g.refuse(w, r, reason.Of(err))
		return
	}
	g.issueTicket(w, r, ids)
}

func (g *Gateway) issueTicket(w http.ResponseWriter, r *http.Request, ids []string) {
	who := g.who(r)
	if !g.ticketRates.Of(who.Peer).Allow() {
		g.refuse(w, r, &reason.Error{Outcome: reason.CallerLimitReached, Metadata: map[string]string{
			"limitName": "new-tasks-per-peer", "limitValue": strconv.Itoa(g.ticketsPerPeer),
		}})
		return
	}
	value, expires, err := g.auth.Ticket(r, who, ids)
	if err != nil {
		g.refuse(w, r, reason.Of(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"ticket": value, "expireTime": expires.UTC().Format(timeForm)})
}
