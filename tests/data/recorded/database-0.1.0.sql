BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'minidalle','conversations','2026-12-01 01:22:12.018022+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'minidalle','wishes','2026-12-01 01:22:12.020928+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'minidalle','line','2026-12-01 01:22:12.032958+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'minidalle','platforms','2026-12-01 01:22:12.047693+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'minidalle','parts','2026-12-01 01:22:12.053861+00:00');
CREATE TABLE jobs (
            id TEXT PRIMARY KEY,  -- the message's id, a dot, the picture's place in the reply
            message TEXT NOT NULL, thread TEXT NOT NULL REFERENCES threads(key), number INTEGER NOT NULL,
            owner TEXT NOT NULL, operation TEXT NOT NULL, prompt TEXT NOT NULL, parent INTEGER, seed INTEGER NOT NULL,
            change TEXT NOT NULL DEFAULT '', ratio TEXT NOT NULL DEFAULT '', refined TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL DEFAULT 'queued', reason TEXT,
            attempt INTEGER NOT NULL DEFAULT 0, faults INTEGER NOT NULL DEFAULT 0,
            ordered REAL NOT NULL DEFAULT 0, claimed REAL, ended REAL,
            cost REAL NOT NULL DEFAULT 0,  -- in megapixel-steps
            batch TEXT, model TEXT NOT NULL DEFAULT ''
        , wanted TEXT NOT NULL DEFAULT '', negative TEXT NOT NULL DEFAULT '', part TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
INSERT INTO "jobs" VALUES('e1.0','e1','test/space/channel/thread',10,'bob','edit','a red sun',2,9,'large','','','queued',NULL,0,0,1790000022.0,NULL,NULL,0.0,NULL,'','flat','clouds','0,0 50,0 50,50');
INSERT INTO "jobs" VALUES('m1.0','m1','test/space/channel/thread',2,'ann','generate','a sun',NULL,288545018,'','16:9','a bright sun over hills','posted',NULL,1,0,1790000002.0,1790000003.0,1790000004.0,1.0,'batch-m1.0','flat','','','');
INSERT INTO "jobs" VALUES('m1.1','m1','test/space/channel/thread',3,'ann','generate','a gun',NULL,1222356005,'','','','dead','The server refused.',1,0,1790000005.0,1790000006.0,1790000007.0,1.0,'batch-m1.1','','','','');
INSERT INTO "jobs" VALUES('m2.0','m2','test/space/channel/thread',4,'bob','generate','a moon',NULL,1819850095,'','','','rendered',NULL,1,0,1790000009.0,1790000010.0,1790000011.0,1.0,'batch-m2.0','flat','deep','','');
INSERT INTO "jobs" VALUES('m2.1','m2','test/space/channel/thread',5,'bob','edit','a red sun',2,288545018,'small','','','running',NULL,1,0,1790000012.0,1790000013.0,NULL,1.0,'batch-m2.1','','','','');
INSERT INTO "jobs" VALUES('m2.2','m2','test/space/channel/thread',6,'bob','generate','a star',NULL,1722851096,'','2:3','','queued',NULL,0,0,1790000014.0,NULL,NULL,0.0,NULL,'','deep','','');
INSERT INTO "jobs" VALUES('m2.3','m2','test/space/channel/thread',7,'bob','generate','a fox',NULL,1640193506,'','','','dead','The server refused.',1,0,1790000015.0,1790000016.0,1790000017.0,1.0,'batch-m2.3','','','','');
INSERT INTO "jobs" VALUES('w1.0','w1','test/space/channel/thread',8,'ann','generate','a cat',NULL,7,'','3:2','','queued',NULL,0,0,1790000019.0,NULL,NULL,0.0,NULL,'','deep','dogs','');
INSERT INTO "jobs" VALUES('w1.1','w1','test/space/channel/thread',9,'ann','generate','a cat',NULL,8,'','3:2','','queued',NULL,0,0,1790000020.0,NULL,NULL,0.0,NULL,'','deep','dogs','');
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, thread TEXT NOT NULL REFERENCES threads(key),
            author_id TEXT NOT NULL, author_name TEXT NOT NULL, text TEXT NOT NULL, about INTEGER,
            uploads TEXT NOT NULL,  -- numbers, as JSON
            words TEXT NOT NULL DEFAULT '',  -- what the model wrote
            heard INTEGER NOT NULL DEFAULT 0,  -- 1 when the model had finished
            view TEXT  -- the final view, as JSON; NULL while the reply is open
        , settled TEXT NOT NULL DEFAULT '', changed INTEGER NOT NULL DEFAULT 0, before TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0, said INTEGER NOT NULL DEFAULT 0, sent REAL NOT NULL DEFAULT 0, part TEXT NOT NULL DEFAULT '');
INSERT INTO "messages" VALUES(1,'m1','test/space/channel/thread','ann','Ann','draw a sun',NULL,'[1]','A sun: <image>a sun</image> and <image>a gun</image>',1,'{"parts":[{"markdown":"A sun: "},{"key":0,"number":2,"operation":"generate","prompt":"a sun","state":{"picture":{"number":2,"digest":"0000000000000000000000000000000000000000000000000000000000000002","width":256,"height":256,"prompt":"a sun","alt":"a sun","operation":"generate","seed":288545018,"model":"flat","parent":null,"refined":"a bright sun over hills","way":"from text","notes":[]}},"parent":null},{"markdown":" and "},{"key":1,"number":3,"operation":"generate","prompt":"a gun","state":{"reason":"The server refused.","again":true},"parent":null}],"status":"","buttons":[{"action":"vary","label":"Vary","target":"2"},{"action":"retry","label":"Retry","target":"m1"}],"final":true,"language":""}','',0,'',100,20,1790000001.0,'');
INSERT INTO "messages" VALUES(2,'m2','test/space/channel/thread','bob','Bob','four more',2,'[]','Here: <image>a moon</image><edit of="2" change="small">a red sun</edit><image ratio="2:3">a star</image><image>a fox</image>',1,NULL,'',0,'',0,0,1790000008.0,'');
INSERT INTO "messages" VALUES(3,'w1','test/space/channel/thread','ann','Ann','a cat',NULL,'[]','',1,NULL,'[{"key":0,"operation":"generate","prompt":"a cat","of":null,"change":"","ratio":"3:2","model":"deep","seed":7,"negative":"dogs","part":""},{"key":1,"operation":"generate","prompt":"a cat","of":null,"change":"","ratio":"3:2","model":"deep","seed":8,"negative":"dogs","part":""}]',0,'',0,0,1790000018.0,'');
INSERT INTO "messages" VALUES(4,'e1','test/space/channel/thread','bob','Bob','#2 again',2,'[]','',1,NULL,'[{"key":0,"operation":"edit","prompt":"a red sun","of":2,"change":"large","ratio":"","model":"flat","seed":9,"negative":"clouds","part":"0,0 50,0 50,50"}]',0,'',0,0,1790000021.0,'');
INSERT INTO "messages" VALUES(5,'m3','test/space/channel/thread','ann','Ann','make it red',2,'[]','',0,NULL,'',0,'',0,0,1790000023.0,'0,0 40,0 40,40');
CREATE TABLE pictures (
            thread TEXT NOT NULL REFERENCES threads(key), number INTEGER NOT NULL, picture TEXT NOT NULL,
            digest TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', PRIMARY KEY (thread, number)
        );
INSERT INTO "pictures" VALUES('test/space/channel/thread',1,'{"number":1,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","width":64,"height":48,"prompt":"","alt":"An uploaded picture","operation":"upload","seed":null,"model":null,"parent":null,"refined":"","way":"","notes":[]}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','ann');
INSERT INTO "pictures" VALUES('test/space/channel/thread',2,'{"number":2,"digest":"0000000000000000000000000000000000000000000000000000000000000002","width":256,"height":256,"prompt":"a sun","alt":"a sun","operation":"generate","seed":288545018,"model":"flat","parent":null,"refined":"a bright sun over hills","way":"from text","notes":[]}','0000000000000000000000000000000000000000000000000000000000000002','ann');
INSERT INTO "pictures" VALUES('test/space/channel/thread',4,'{"number":4,"digest":"0000000000000000000000000000000000000000000000000000000000000004","width":256,"height":256,"prompt":"a moon","alt":"a moon","operation":"generate","seed":1819850095,"model":"flat","parent":null,"refined":"","way":"from text","notes":[]}','0000000000000000000000000000000000000000000000000000000000000004','bob');
CREATE TABLE places (message TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "places" VALUES('m1','channel.1');
CREATE TABLE posts (
            message TEXT NOT NULL, nth INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, picture INTEGER,
            thread TEXT NOT NULL, PRIMARY KEY (message, nth)
        ) WITHOUT ROWID;
INSERT INTO "posts" VALUES('m1',0,'p1',2,'test/space/channel/thread');
CREATE TABLE settings (
            scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (scope, key)
        ) WITHOUT ROWID;
INSERT INTO "settings" VALUES('test/space','at_once','3');
INSERT INTO "settings" VALUES('test/space','changers','managers');
INSERT INTO "settings" VALUES('test/space','rule','gore');
INSERT INTO "settings" VALUES('test/space','unasked','threads');
INSERT INTO "settings" VALUES('test/space/channel/thread','ratio','1:1');
INSERT INTO "settings" VALUES('test:ann','style','comic');
CREATE TABLE threads (
            key TEXT PRIMARY KEY, platform TEXT NOT NULL, title TEXT NOT NULL, updated REAL NOT NULL,
            pictures INTEGER NOT NULL DEFAULT 0  -- the highest number given to a picture
        );
INSERT INTO "threads" VALUES('test/space/channel/thread','test','draw a sun',1790000023.0,10);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX messages_of_thread ON messages(thread, seq);
CREATE INDEX open_messages ON messages(seq) WHERE view IS NULL;
CREATE INDEX pictures_by_digest ON pictures(digest);
CREATE INDEX served_jobs ON jobs(claimed) WHERE claimed IS NOT NULL;
CREATE INDEX ordered_jobs ON jobs(ordered);
CREATE INDEX posts_of_thread ON posts(thread, picture) WHERE picture IS NOT NULL;
COMMIT;
