import { Module } from '@nestjs/common';
import { OpenAnswers } from '../common/http/open-answers.js';
import { EventStreamService } from './event-stream.service.js';
import { EventsController } from './events.controller.js';

@Module({ controllers: [EventsController], providers: [EventStreamService, OpenAnswers] })
export class EventsModule {}
