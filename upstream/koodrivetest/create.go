package koodrivetest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// firstID precedes the ids of tasks created over HTTP, which count up from it.
const firstID = 1534087020903704704

// create creates the task that a request's body describes: new for 5 s, executing for 10 s, then success. Type 0
// (transfer and deletion) requires both users.
func (k *KooDrive) create(r *http.Request, body []byte) answer {
	var ask struct {
		TaskType  *int64 `json:"taskType"`
		SrcUserID string `json:"srcUserId"`
		DstUserID string `json:"dstUserId"`
	}
	if json.Unmarshal(body, &ask) != nil || ask.TaskType == nil || *ask.TaskType < 0 || *ask.TaskType > 1 ||
		*ask.TaskType == 0 && (ask.SrcUserID == "" || ask.DstUserID == "") {
		return k.speaks().refuse(http.StatusBadRequest, "13000102", "Verify parameters failed.", "")
	}
	id := k.freeID()
	k.SetTask(Task{
		ID:       id,
		Name:     "task-" + id,
		Type:     ask.TaskType,
		TenantID: Example().TenantID,
		UserID:   r.Header.Get("X-User-Id"),
		Steps: []Step{
			{Status: StatusNew, For: 5 * time.Second},
			{Status: StatusExecuting, For: 10 * time.Second},
			{Status: StatusSuccess},
		},
	})
	return answer{status: http.StatusOK, body: encode(struct {
		TaskID string `json:"taskId"`
		Code   int    `json:"code"`
		Msg    string `json:"msg"`
	}{id, 0, "成功"})}
}

// freeID returns an id that no task has and that was not returned before.
func (k *KooDrive) freeID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		k.lastID++
		id := strconv.FormatInt(k.lastID, 10)
		if k.tasks[id] == nil {
			return id
		}
	}
}
