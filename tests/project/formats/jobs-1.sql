-- What Lektrack 0.1 wrote (PRAGMA user_version 1), by sqlite3's .dump. It must load for ever.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, title TEXT NOT NULL, command TEXT NOT NULL, output TEXT, project TEXT, videos TEXT NOT NULL,
  user TEXT NOT NULL, slot TEXT NOT NULL, gpus INTEGER NOT NULL, resumable INTEGER NOT NULL, service INTEGER NOT NULL,
  ready_path TEXT NOT NULL, start_limit_s REAL NOT NULL,
  state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL, stop_asked REAL,
  attempts INTEGER NOT NULL DEFAULT 0, cut_offs INTEGER NOT NULL DEFAULT 0,
  exit_code INTEGER, reason TEXT NOT NULL DEFAULT '',
  pid INTEGER, start_time INTEGER, boot_id TEXT, port INTEGER, gpu_ids TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE needs (job INTEGER NOT NULL, needed INTEGER NOT NULL, PRIMARY KEY (job, needed)) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE UNIQUE INDEX one_active_job_an_output ON jobs (output)
  WHERE output IS NOT NULL AND state IN ('queued', 'running', 'starting', 'stopping');
INSERT INTO jobs VALUES(1,'export_frames','Export frames 0-500 of lek-north','["-m", "backend.export_frames", "--src", "/videos/lek north.mp4"]','/data/exported_frames/lek-north','/data','["lek-north"]','ana','cpu',1,1,0,'/-/ready',600.0,'succeeded',1795212000.0,1795212001.5,1795212100.25,NULL,2,1,0,'',4711,223494,'0f6f027e-f3bc-46f8-a55c-f4a373296e6f',NULL,'[]');
INSERT INTO jobs VALUES(2,'train','Train ruff','["-m", "backend.train"]',NULL,NULL,'[]','','gpu',2,1,0,'/-/ready',600.0,'queued',1795212002.0,NULL,NULL,NULL,0,0,NULL,'',NULL,NULL,NULL,NULL,'[]');
INSERT INTO jobs VALUES(4,'segannot','Annotate lek-north','["-m", "segannot"]','/data/segannot/lek-north','/data','["lek-north"]','ana','none',1,0,1,'/-/ready',600.0,'lost',1795212003.0,1795212004.0,1795212005.0,NULL,1,0,NULL,'its wrapper process ended',4712,223495,'0f6f027e-f3bc-46f8-a55c-f4a373296e6f',8880,'[]');
INSERT INTO needs VALUES(2,1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('jobs',5);
COMMIT;
PRAGMA user_version=1;
